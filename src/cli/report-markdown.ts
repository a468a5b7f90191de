import type { Report } from '../domain/report.js'
import { plain } from '../domain/text.js'
import { duration, moment, shortDigest, size } from './output-words.js'

/** A run's report as Markdown. Whatever others wrote into it is text, never markup. */
export function reportMarkdown(report: Report): string {
  const sections = [
    head(report),
    list(
      'Migrations',
      ['stage', 'version', 'name', 'phase'],
      report.migrations.map(({ stage, version, name, phase }) => [String(stage), version, name, phase]),
    ),
    list('Steps', ['at', 'stage', 'step', 'attempt', 'state', 'took', 'note'], report.steps.map(stepRow)),
    ...report.steps.flatMap(({ step, attempt, evidence }) =>
      evidence === undefined ? [] : [`### Evidence of ${text(step)}, attempt ${attempt}\n\n${block(evidence)}`],
    ),
    list('Decisions', ['at', 'stage', 'decision', 'by', 'counts', 'note'], report.decisions.map(decisionRow)),
    list(
      'Backups',
      ['name', 'state', 'gate', 'size', 'where'],
      report.backups.map(({ name, kind, state, gate, bytes, location }) => [
        `${name}/${kind}`,
        state,
        gate,
        size(Number(bytes)),
        location,
      ]),
    ),
    list(
      'Events',
      ['at', 'what', ''],
      report.events.map(({ at, type, text }) => [moment(at), type, text]),
    ),
    report.commands.length === 0 ? '' : `## Commands\n\n${block(report.commands.join('\n'))}`,
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

function head({
  run,
  project,
  environment,
  kind,
  tag,
  database,
  digest,
  requestedBy,
  startedAt,
  endedAt,
  ending,
}: Report): string {
  const facts: [string, string | undefined][] = [
    ['outcome', ending === undefined ? 'open' : ending.outcome],
    ['reason', ending?.reason],
    ['database', ending === undefined ? database : `${database}: ${ending.database}`],
    ['services', ending?.services],
    ['consumers', ending?.consumers],
    ['what', `${kind} of ${project} to ${environment}${tag === undefined ? '' : `, tag ${tag}`}`],
    ['asked by', requestedBy],
    ['plan', digest === undefined ? undefined : shortDigest(digest)],
    ['started', moment(startedAt)],
    ['took', endedAt === undefined ? undefined : duration(Date.parse(endedAt) - Date.parse(startedAt))],
  ]
  const rows = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  return `# ${text(run)}\n\n${tableOf(['', ''], rows)}`
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

const decisionRow = ({ at, stage, decision, by, verified, accepted, note }: Report['decisions'][number]): string[] => [
  moment(at),
  String(stage),
  decision,
  `${by}${verified ? ', verified' : ''}`,
  accepted ? 'yes' : 'refused',
  note,
]

const list = (title: string, columns: readonly string[], rows: readonly (readonly string[])[]): string =>
  rows.length === 0 ? '' : `## ${title}\n\n${tableOf(columns, rows)}`

function tableOf(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [row(columns), row(columns.map(() => '-')), ...rows.map((cells) => row(cells.map(text)))].join('\n')
}

/** Text on one line: neither Markdown nor HTML nor a table's edge in it. */
const text = (value: string): string =>
  plain(value)
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[\\`*_{}[\]()#+!|~]/g, '\\$&')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')

/** Text as it is, in a fence that it cannot close. */
function block(value: string): string {
  const shown = plain(value).trimEnd()
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([ticks]) => ticks.length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}text\n${shown}\n${fence}`
}
