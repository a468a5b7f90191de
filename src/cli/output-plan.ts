import { downTarget, isUndo, type Plan, type PlannedMigration, type Stage } from '../domain/plan.js'
import { duration, size } from '../domain/amounts.js'
import type { RehearsedMigration } from '../domain/look.js'
import { NOTHING_REVIEWED, RULES, type Review } from '../domain/review.js'
import { plain } from '../domain/text.js'
import { rehearsedLines } from './output-rehearsal.js'
import { line, plural, shortDigest, titleOf } from './output-words.js'

/** Lines of one migration's SQL that are shown. */
const SQL_LINES = 40

/** The plan on one page: what, how, which way back, who must agree, what to type. */
export function planPage(
  plan: Plan,
  digest: string,
  review: Review = NOTHING_REVIEWED,
  rehearsed: readonly RehearsedMigration[] = [],
  /** Whose plan it is, where it is one's already, or would be. */
  whose?: { run: string; isProposed: boolean },
  /** A finding keeps every run from beginning. */
  isBlocked = false,
): string[] {
  const { services, project, environment, tag, stages, bound, from, fix } = plan
  const target = stages.findLast((stage) => stage.target !== undefined)?.target
  const head = `plan of ${whose?.run ?? `${project} ${environment}`}${tag === undefined ? '' : `, tag ${tag}`}${fix === undefined ? '' : ', which mends it'}`
  const where = `  database   ${line(bound.database)}, at ${line(from ?? 'no version')}${target === undefined ? '' : ` → ${line(target)}`}`
  if (stages.length === 0)
    return [
      head,
      where,
      plan.kind === 'rollback'
        ? '  nothing to do: the database is at that version'
        : `  nothing to do: nothing is pending${services.length === 0 ? '' : ', and the services run this release'}`,
      ...remarkLines(plan),
      `  next       headgate info ${environment}`,
    ]
  return [
    head,
    where,
    ...servicesLine(plan),
    ...stages.flatMap((stage) => ['', ...stageLines(stage, plan, review, rehearsed)]),
    '',
    ...(plan.autodeploys === undefined ? [] : [`  holds      ${plan.autodeploys.map(line).join(', ')}`]),
    `  pauses     ${plan.consumers.map(line).join(', ') || 'nobody'}${fix && plan.consumers.length > 0 ? STILL : ''}`,
    `  stops      ${plan.quiesces.map(line).join(', ') || 'nothing'}${fix && plan.quiesces.length > 0 ? STILL : ''}`,
    ...(plan.blocks === undefined
      ? []
      : [`  blocks     ${plan.blocks.map(line).join(', ')}: nobody logs in as them, in no database of the cluster`]),
    `  backups    ${plan.backups.join(' and ') || 'none'}${fix && plan.backups.length > 0 ? ', as the run took them before the stage' : ''}`,
    ...(plan.noRestoreBecause === undefined
      ? []
      : [`  restore    no automatic restore here, because ${line(plan.noRestoreBecause)}`]),
    ...(stages.some(({ approval }) => approval) ? [`  approvers  ${approversOf(plan)}`] : []),
    ...noteLines(review),
    ...remarkLines(plan),
    ...(whose?.isProposed ? [] : [`  digest     ${shortDigest(digest)}`]),
    `  next       ${isBlocked ? mendOf(review) : nextOf(plan, digest, whose)}`,
  ]
}

const remarkLines = ({ remarks }: Plan): string[] => remarks.map((remark) => `  remark     ${line(remark)}`)

/** Of a fix: from when the run was a deploy. */
const STILL = ', as the run has left them'

const mendOf = ({ failed }: Review): string =>
  failed === undefined
    ? 'mend what says stop, or waive it with a reason, and plan again'
    : 'see to it that the migrations can be reviewed, and plan again'

function nextOf(
  { kind, environment, tag, stages, fix, ...plan }: Plan,
  digest: string,
  whose: { run: string; isProposed: boolean } | undefined,
): string {
  const release = tag === undefined ? '' : ` --tag ${tag}`
  if (fix && whose?.isProposed !== false) return `headgate recover ${whose?.run ?? environment} --fix${release}`
  if (!whose)
    return `headgate ${kind} ${environment}${downTo({ ...plan, stages })}${release} --digest ${shortDigest(digest)}`
  const waits = stages.some(({ number, approval }) => approval && number === fix?.stage)
  return waits ? `headgate approve ${whose.run} --digest ${shortDigest(digest)}` : `headgate status ${whose.run}`
}

function servicesLine({ services }: Plan): string[] {
  const words = services.map(
    ({ name, previous, next }) =>
      `${line(name)} ${previous ?? 'unknown'}${next === undefined ? '' : ` → ${next}`}${next !== undefined && next === previous ? ', which is another image now' : ''}`,
  )
  return words.length === 0 ? [] : [`  services   ${words.join(', ')}`]
}

function stageLines(stage: Stage, plan: Plan, review: Review, rehearsed: readonly RehearsedMigration[]): string[] {
  const { number, phase, migrations, target, approval, deploysImage } = stage
  const { stage: first = 1, kept = [], halfDone } = plan.fix ?? {}
  if (number < first) return [`  stage ${number}    done before`]
  const what =
    phase === 'image'
      ? imageOf(plan)
      : `${isUndo(phase) ? `take back ${phase.replace('undo-', '')}` : phase}, ${plural(migrations.length, 'migration')}${target === undefined ? '' : ` ${isUndo(phase) ? 'down ' : ''}to ${line(target)}`}`
  const then = phase !== 'image' && deploysImage ? `, then ${imageOf(plan)}` : ''
  const waits = approval ? '; waits for approval' : ''
  return [
    `  stage ${number}    ${what}${then}${plan.fix && number > first ? '; left for a deploy after it' : waits}`,
    ...migrations.flatMap((migration) => [
      ...(kept.includes(migration.version)
        ? [`    ${titleOf(migration.version, migration.name)}: applied already`]
        : migrationLines(
            migration,
            migration.version === halfDone ? ['half done: begins at its first statement'] : [],
          )),
      ...reviewLines(migration.version, review),
      ...rehearsed.filter(({ version }) => version === migration.version).flatMap(rehearsedLines),
    ]),
    ...undoLines(stage, plan).map((text) => `    undo     ${text}`),
  ]
}

const downTo = (plan: Pick<Plan, 'stages'>): string => {
  const target = downTarget(plan)
  return target === undefined ? '' : ` --down-to ${line(target)}`
}
const imageOf = ({ kind }: Plan): string => (kind === 'rollback' ? 'the previous image' : 'the new image')

function migrationLines({ version, name, transactional, hasDown, sql }: PlannedMigration, also: string[]): string[] {
  const facts = [...also, ...(transactional ? [] : ['not in a transaction']), ...(hasDown ? ['has a down'] : [])]
  return [`    ${titleOf(version, name)}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`, ...sqlLines(sql)]
}

/** What the migration locks, and what is found in it. */
function reviewLines(version: string, { findings, locks }: Review): string[] {
  const lockTexts = locks
    .filter((lock) => lock.version === version)
    .map(({ table, mode, work, bytes, estimateMs = 0 }) =>
      work === 'brief'
        ? `${line(table)} ${mode}, for a moment`
        : `${line(table)} ${mode}, ${WORK[work]}${bytes === undefined ? '' : `, some ${duration(estimateMs)} at ${size(bytes)}`}`,
    )
  const told = findings.filter((finding) => finding.version === version)
  return [
    ...[...new Set(lockTexts)].map((text) => `    lock     ${text}`),
    ...told
      .filter(({ level, waived }) => level !== 'note' && waived === undefined)
      .flatMap(({ level, line: at, text, rule }) => [
        `    ${level.padEnd(8)} line ${at}: ${line(text)} (${rule})`,
        `             instead: ${RULES[rule].instead}`,
      ]),
    ...told.flatMap(({ waived, line: at, text, rule }) =>
      waived === undefined ? [] : [`    waived   line ${at}: ${line(text)} (${rule}): ${line(waived)}`],
    ),
  ]
}

const WORK = { scan: 'read through', index: 'an index is built', rewrite: 'written anew', rows: 'rows are changed' }

/** What is only good to know is counted: `-o json` has each. */
function noteLines({ findings, unread, failed = 'their SQL cannot be had' }: Review): string[] {
  const counts = new Map<string, number>()
  for (const { level, rule, waived } of findings)
    if (level === 'note' && waived === undefined) counts.set(rule, (counts.get(rule) ?? 0) + 1)
  const texts = [...counts].map(([rule, count]) => `${rule}${count === 1 ? '' : ` (${count})`}`)
  return [
    ...(texts.length === 0 ? [] : [`  notes      ${texts.join(', ')}`]),
    ...(unread.length === 0 ? [] : [`  not read   ${unread.map(line).join(', ')}: ${line(failed)}`]),
  ]
}

function sqlLines(sql: string | undefined): string[] {
  if (sql === undefined) return ['      | its SQL cannot be shown']
  const all = plain(sql).trim().split('\n')
  const rest = all.length - SQL_LINES
  return [
    ...all.slice(0, SQL_LINES).map((text) => `      | ${text}`.trimEnd()),
    ...(rest > 0 ? [`      | ... ${plural(rest, 'more line')}`] : []),
  ]
}

/** Which way back there is, and until when; where there is none, why. */
function undoLines({ number, phase, deploysImage }: Stage, plan: Plan): string[] {
  if (number === plan.fix?.stage) return ['nothing by itself: where it fails the run stays open, with its ways out']
  const previous = plan.services.filter(({ next }) => next !== undefined)
  const unknown = previous.filter((service) => service.previous === undefined).map(({ name }) => line(name))
  const image =
    unknown.length > 0
      ? `no rollback of ${unknown.join(', ')}: the image that runs now is not known`
      : 'the previous image'
  if (phase === 'image') return [image]
  const database =
    plan.noRestoreBecause === undefined
      ? `until services restart: ${plan.backups.includes('clone') ? 'the clone is swapped back, in seconds' : 'the dump is restored beside and swapped in'}`
      : `the database only where it is proven unchanged: no automatic restore, because ${line(plan.noRestoreBecause)}`
  if (phase === 'contract') return [database, 'after its first commit: no previous image']
  if (isUndo(phase)) return [database, 'after that: deploy the release again; what is dropped is in the backup alone']
  return [database, ...(deploysImage ? [`after that: ${image}, on the expanded schema; no write is lost`] : [])]
}

function approversOf({ approvers }: Plan): string {
  const { from, count, timeoutMs, verified, requesterMayApprove } = approvers
  const who =
    from.length === 0 ? (count === 1 ? 'anybody' : `any ${count}`) : `${count} of ${from.map(line).join(', ')}`
  return [
    who,
    verified ? 'signed' : 'by name, not verified',
    ...(requesterMayApprove ? [] : ['not who asked']),
    `within ${duration(timeoutMs)}`,
  ].join('; ')
}
