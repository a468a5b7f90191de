import { duration, moment, size } from '../domain/amounts.js'
import type { Report } from '../domain/report.js'
import { shortDigest } from './output-words.js'

/** One part of a report: rows of cells, or text that is shown as it is. Whatever others wrote is in it unescaped. */
export type Section = { title: string } & (
  | { columns: readonly string[]; rows: readonly (readonly string[])[] }
  | { text: string }
)

/** What a report says, in order; each rendering only dresses it. Empty parts are left out. */
export function sectionsOf(report: Report): { title: string; facts: [string, string][]; sections: Section[] } {
  const { run, migrations, steps, decisions, backups, events, commands } = report
  const sections: Section[] = [
    {
      title: 'Migrations',
      columns: ['stage', 'version', 'name', 'phase'],
      rows: migrations.map(({ stage, version, name, phase }) => [String(stage), version, name, phase]),
    },
    { title: 'Steps', columns: ['at', 'stage', 'step', 'attempt', 'state', 'took', 'note'], rows: steps.map(stepRow) },
    ...steps.flatMap(({ step, attempt, evidence }) =>
      evidence === undefined ? [] : [{ title: `Evidence of ${step}, attempt ${attempt}`, text: evidence }],
    ),
    {
      title: 'Decisions',
      columns: ['at', 'stage', 'decision', 'by', 'counts', 'plan', 'note'],
      rows: decisions.map(decisionRow),
    },
    {
      title: 'Backups',
      columns: ['name', 'state', 'gate', 'size', 'where'],
      rows: backups.map(({ name, kind, state, gate, bytes, location }) => [
        `${name}/${kind}`,
        state,
        gate,
        size(Number(bytes)),
        location,
      ]),
    },
    { title: 'Events', columns: ['at', 'what'], rows: events.map(({ at, text }) => [moment(at), text]) },
    { title: 'Commands', text: commands.join('\n') },
  ]
  return { title: run, facts: factsOf(report), sections: sections.filter(hasContent) }
}

const hasContent = (section: Section): boolean => ('rows' in section ? section.rows.length > 0 : section.text !== '')

function factsOf({
  project,
  environment,
  kind,
  tag,
  mendedWith,
  database,
  digest,
  requestedBy,
  startedAt,
  endedAt,
  ending,
}: Report): [string, string][] {
  const facts: [string, string | undefined][] = [
    ['outcome', ending === undefined ? 'open' : ending.outcome],
    ['reason', ending?.reason],
    ['code', ending?.code],
    ['do', ending?.hint],
    ['database', ending === undefined ? database : `${database}: ${ending.database}`],
    ['services', ending?.services],
    ['consumers', ending?.consumers],
    [
      'what',
      `${kind} of ${project} to ${environment}${tag === undefined ? '' : `, tag ${tag}`}${mendedWith === undefined ? '' : `, mended with ${mendedWith}`}`,
    ],
    ['asked by', requestedBy],
    ['plan', digest === undefined ? undefined : shortDigest(digest)],
    ['started', moment(startedAt)],
    ['took', endedAt === undefined ? undefined : duration(Date.parse(endedAt) - Date.parse(startedAt))],
  ]
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
}

const stepRow = ({ startedAt, stage, step, attempt, state, seconds, note }: Report['steps'][number]): string[] => [
  startedAt.slice(11, 19),
  stage === 0 ? '' : String(stage),
  step,
  String(attempt),
  state,
  seconds === undefined ? '' : duration(seconds * 1_000),
  note,
]

const decisionRow = ({
  at,
  stage,
  decision,
  by,
  verified,
  accepted,
  digest,
  note,
}: Report['decisions'][number]): string[] => [
  moment(at),
  String(stage),
  decision,
  `${by}${verified ? ', verified' : ''}`,
  accepted ? 'yes' : 'refused',
  shortDigest(digest),
  note,
]
