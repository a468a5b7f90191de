import { type Cause, FAILURES, type FailureCode } from './failures.js'
import { EXIT } from './outcome.js'

const INTRODUCTION = `# Failures

Every way in which Headgate fails has a name and a code. \`headgate explain E204\` tells about one on the terminal.

A failure says what happened, whether the database was changed, and what to do now. How the run then ended is the
outcome's to say: see [concepts](concepts.md#outcomes). Where the outcome is \`needs-operator\`, see [recovery](recovery.md).

- **tried again**: \`yes\` means that the same step is tried again by itself, a bounded number of times, before the run gives
  up and undoes it. \`no\` means that another try would only fail again. \`no undo left\` means that it may pass by itself: it is
  tried again by a step that nothing would undo, which is an undo itself, what follows a contract migration or a restore, and
  what \`recover\` does.
- **counts as**: what the exit code is made of. \`guard\`, something stood in the way: ${EXIT.blocked}. \`person\`, somebody decided so:
  ${EXIT.person}. \`fault\`: ${EXIT.failed} for a run, ${EXIT.usage} for a command that started none, ${EXIT.unreachable} where Temporal or a worker is missing. A run that
  needs an operator exits ${EXIT.needsOperator} whatever the cause.
`

/** What each failure means, for readers: one sentence, without the next move, which is its hint. */
const MEANS: Record<FailureCode, string> = {
  UsageInvalid: 'The command line was not understood, or lacks something that only a person can say.',
  ConfigurationInvalid: 'headgate.yaml, or something it refers to, is not right. The message names the place.',
  ReferenceMissing: 'A reference in headgate.yaml leads to nothing where the worker runs.',
  EnvironmentUnknown: 'headgate.yaml names no such environment.',
  InputInvalid: 'A message does not have the form that this version knows, or is meant for another project.',
  RunUnknown: 'There is no such run, plan or backup, or no run is open.',
  AnswerTooLarge:
    'What a command asked of the worker comes back by Temporal, which carries 2 MB at once. The SQL that a plan shows is cut before that; thousands of findings or tables are not.',
  TemporalUnreachable: 'No Temporal server answers.',
  CodecKeyMissing: 'What Temporal keeps was encrypted with a key that this process does not have.',
  WorkerMissing: 'Temporal answers, but no worker takes up work for the environment.',
  JournalUnavailable: "The journal's database can be neither opened nor created.",
  DatabaseUnreachable: 'No connection: no server, a missing or closed database, or too many sessions.',
  DatabaseWrong: 'The database, cluster or backup is another one than the plan was made for, or a standby.',
  RightsMissing: 'A role may not do or see what the step needs.',
  LoginRefused: 'The server does not let the role in: a wrong password, or no right to log in.',
  ToolMissing: 'A program that the run needs is not there.',
  EngineUnreachable: 'The container engine does not answer.',
  ToolTimedOut: 'A program took longer than it may and was ended.',
  PlanStale: 'The plan is not the one that was asked for, or a file of it was edited meanwhile.',
  PlanInvalid:
    'The migrations make no plan: none at all, two heads, an edited or missing file, one out of order, expand after contract.',
  GuardFailed: 'Something was found in the way before it was touched; the message names each finding.',
  RunOpen: 'Another run is open on the same database.',
  RunTaken: 'The run has ended, or a recovery carries it now: what its workflow still asks for is not done.',
  PreviousUnknown: 'The tag to go back to is not known, so there would be no way back.',
  LintFailed: 'A pending migration would hold up others for too long, break the image that runs, or fail.',
  RehearsalMissing:
    '`rehearsal.required` is set, and a migration of the release was not rehearsed as it is now, or its rehearsal failed.',
  FenceLost: 'A later attempt holds the database now; this one has stopped.',
  Unexpected: 'An error without a name of its own.',
  ConsumerNotQuiet: 'A consumer was told to pause and was not proven quiet in time.',
  ConsumerNotMoving: 'A consumer was told to resume and was not proven moving in time.',
  AutodeployNotHeld:
    'What deploys by itself was told to hold, and was not proven to, or something of it was still under way.',
  AutodeployNotReleased: 'What deploys by itself was told to go on, and was not proven to.',
  WritersNotQuiet: 'Sessions or prepared transactions are left in the database after all were ended.',
  BackupFailed: 'No backup was taken, or it could not be proven valid: nothing is migrated without one.',
  BackupDamaged: 'A backup is not what its manifest says.',
  MigrationFailed:
    'The migration tool said no. What it had changed is undone as far as that is safe; the outcome says how far.',
  MigrationBlocked: 'A lock was not to be had within the budget. The message names who holds it, where that was seen.',
  StateUnexpected: 'What was found is explained neither by the plan nor by an earlier attempt.',
  VerifyFailed: 'The ledger, an index or a check is not what it must be after the migration.',
  ServiceOutOfReach: 'The worker on the host of a service does not answer.',
  ServiceFailed: "A service's program failed.",
  NotReady: 'A service did not become ready in time.',
  SmokeFailed: 'A smoke check was not positive in time.',
  RestoreForbidden: 'The database may not be swapped: slots, subscriptions or prepared transactions are bound to it.',
  RestoreFailed: 'A backup could not be brought beside the live database, or not be swapped in.',
  ApprovalRefused: 'An approval does not count, or nothing waits for one; the message says why.',
  ApprovalRejected: 'Somebody rejected the stage that waited.',
  ApprovalExpired: 'Nobody approved in time.',
  Cancelled: 'Somebody cancelled the run.',
  TooLate: 'A cancel came at a point where stopping would do harm.',
  NeedsOperator: 'Headgate cannot prove that going on, or back, is safe. What is paused stays paused.',
}

/** Groups of the page, by the code's first digits; the first that fits counts. */
const GROUPS: readonly (readonly [title: string, prefixes: readonly string[]])[] = [
  ['What was asked', ['E100', 'E101', 'E102', 'E103', 'E104', 'E105']],
  ['Temporal, the journal, the database, tools', ['E11', 'E12']],
  ['Before anything is touched', ['E13']],
  ['Consumers, writers, backups', ['E20']],
  ['Migration and proof', ['E21']],
  ['Services', ['E22']],
  ['The way back', ['E23', 'E25']],
  ['People', ['E24']],
  ['Others', ['E']],
]

interface Row {
  name: FailureCode
  code: string
  cause: Cause
  retryable: boolean
  hiccup?: boolean
  hint: string
}

const isCode = (name: string): name is FailureCode => Object.hasOwn(FAILURES, name)

const rows: readonly Row[] = Object.keys(FAILURES)
  .filter(isCode)
  .map((name) => ({ name, ...FAILURES[name] }))
  .sort((a, b) => (a.code < b.code ? -1 : 1))

const groupOf = ({ code }: Row): string =>
  GROUPS.find(([, prefixes]) => prefixes.some((prefix) => code.startsWith(prefix)))?.[0] ?? ''

/** On a terminal a backtick stands for an apostrophe; in Markdown it would open code. */
const prose = (text: string): string => text.replace(/(\w)`(\w)/g, "$1'$2").replaceAll('|', '\\|')

const again = ({ retryable, hiccup }: Row): string => (retryable ? 'yes' : hiccup ? 'no undo left' : 'no')

const line = (row: Row): string =>
  `| ${row.code} | \`${row.name}\` | ${prose(MEANS[row.name])} | ${prose(row.hint)} | ${again(row)} | ${row.cause} |`

function section(title: string): string {
  const head = [
    '| code | name | what happened | what to do now | tried again | counts as |',
    '|---|---|---|---|---|---|',
  ]
  return [`## ${title}`, '', ...head, ...rows.filter((row) => groupOf(row) === title).map(line)].join('\n')
}

/** What the failure means, in one sentence. */
export const meaningOf = (name: FailureCode): string => MEANS[name]

/** The page `docs/failures.md`: every failure with its next move, from the table alone. */
export const failuresReference = (): string =>
  `${[INTRODUCTION, ...GROUPS.map(([title]) => `${section(title)}\n`)].join('\n')}`
