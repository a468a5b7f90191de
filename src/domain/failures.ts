import { ApplicationFailure } from '@temporalio/common'
import { z } from 'zod'

/** What a failure means for the exit code, beside the outcome. */
export const Cause = z.enum(['guard', 'person', 'fault'])
export type Cause = z.infer<typeof Cause>

interface FailureRow {
  /** The page `headgate explain` prints. */
  code: string
  retryable: boolean
  /** It may pass by itself: not worth another try where the step can be undone, but where nothing undoes it. */
  hiccup?: boolean
  cause: Cause
  /** What to do now. */
  hint: string
}

/** Every way to fail on one screen, with the operator's next move. */
export const FAILURES = {
  UsageInvalid: { code: 'E100', retryable: false, cause: 'fault', hint: 'see `headgate --help`' },
  ConfigurationInvalid: {
    code: 'E101',
    retryable: false,
    cause: 'fault',
    hint: 'fix headgate.yaml; nothing was touched',
  },
  ReferenceMissing: {
    code: 'E102',
    retryable: false,
    hiccup: true,
    cause: 'fault',
    hint: 'set the variable or file where the worker runs; nothing was touched',
  },
  EnvironmentUnknown: {
    code: 'E103',
    retryable: false,
    cause: 'fault',
    hint: 'use one of the environments in headgate.yaml',
  },
  InputInvalid: {
    code: 'E104',
    retryable: false,
    cause: 'fault',
    hint: 'the request did not come from a matching headgate; nothing was touched',
  },
  RunUnknown: { code: 'E105', retryable: false, cause: 'fault', hint: 'list the runs with `headgate history`' },
  TemporalUnreachable: {
    code: 'E110',
    retryable: false,
    cause: 'fault',
    hint: 'start `headgate dev`, or set TEMPORAL_ADDRESS',
  },
  WorkerMissing: {
    code: 'E111',
    retryable: false,
    cause: 'fault',
    hint: 'start `headgate worker` beside the database',
  },
  JournalUnavailable: {
    code: 'E120',
    retryable: true,
    cause: 'fault',
    hint: 'run the SQL that `headgate doctor` prints',
  },
  DatabaseUnreachable: {
    code: 'E121',
    retryable: true,
    cause: 'fault',
    hint: 'check that the server is up and the url is right',
  },
  DatabaseWrong: {
    code: 'E122',
    retryable: false,
    cause: 'guard',
    hint: 'the plan is bound to another database; plan again',
  },
  RightsMissing: { code: 'E123', retryable: false, cause: 'guard', hint: 'grant what `headgate doctor` prints' },
  ToolMissing: { code: 'E124', retryable: false, cause: 'guard', hint: 'install the tool where the worker runs' },
  ToolTimedOut: {
    code: 'E125',
    retryable: true,
    cause: 'fault',
    hint: 'find out from its log why the tool did not end',
  },
  PlanStale: { code: 'E130', retryable: false, cause: 'guard', hint: 'look at the differences, then deploy again' },
  PlanInvalid: { code: 'E131', retryable: false, cause: 'guard', hint: 'fix the migrations; nothing was touched' },
  GuardFailed: {
    code: 'E132',
    retryable: false,
    cause: 'guard',
    hint: 'remove what stands in the way, then deploy again',
  },
  RunOpen: {
    code: 'E133',
    retryable: false,
    cause: 'guard',
    hint: 'wait for that run, or end it with `headgate recover`',
  },
  PreviousUnknown: { code: 'E134', retryable: false, cause: 'guard', hint: 'make the service tell its current tag' },
  FenceLost: { code: 'E140', retryable: true, cause: 'fault', hint: 'a later attempt has taken over; nothing to do' },
  ConsumerNotQuiet: { code: 'E201', retryable: false, cause: 'fault', hint: 'find out why the consumer does not stop' },
  ConsumerNotMoving: {
    code: 'E202',
    retryable: true,
    cause: 'fault',
    hint: 'look at the consumer; resume it by hand if it must be',
  },
  WritersNotQuiet: {
    code: 'E203',
    retryable: false,
    hiccup: true,
    cause: 'fault',
    hint: 'find out who still writes',
  },
  BackupFailed: {
    code: 'E204',
    retryable: true,
    cause: 'fault',
    hint: 'look at disk space and rights; production is unchanged',
  },
  BackupDamaged: {
    code: 'E205',
    retryable: false,
    cause: 'fault',
    hint: 'do not use this backup; choose another with `headgate backups list`',
  },
  MigrationFailed: { code: 'E210', retryable: false, cause: 'fault', hint: 'fix the migration, then deploy again' },
  MigrationBlocked: {
    code: 'E211',
    retryable: false,
    cause: 'fault',
    hint: 'end what holds the lock, then deploy again',
  },
  StateUnexpected: { code: 'E212', retryable: true, cause: 'fault', hint: 'compare the ledger with the files' },
  VerifyFailed: {
    code: 'E213',
    retryable: false,
    cause: 'fault',
    hint: 'look at the check; the report shows what it found',
  },
  ServiceFailed: {
    code: 'E220',
    retryable: false,
    hiccup: true,
    cause: 'fault',
    hint: 'look at the service`s log',
  },
  NotReady: { code: 'E221', retryable: false, hiccup: true, cause: 'fault', hint: 'look at the service`s log' },
  SmokeFailed: { code: 'E222', retryable: false, cause: 'fault', hint: 'look at the answer in the report' },
  RestoreForbidden: {
    code: 'E230',
    retryable: false,
    cause: 'fault',
    hint: 'writes may have happened since the backup; decide with `headgate recover`',
  },
  RestoreFailed: {
    code: 'E231',
    retryable: true,
    cause: 'fault',
    hint: 'the live database was not touched; decide with `headgate recover`',
  },
  ApprovalRefused: {
    code: 'E240',
    retryable: false,
    cause: 'guard',
    hint: 'an approver must sign the digest in the plan',
  },
  ApprovalRejected: {
    code: 'E241',
    retryable: false,
    cause: 'person',
    hint: 'talk to who rejected; a new deploy asks again',
  },
  ApprovalExpired: { code: 'E242', retryable: false, cause: 'person', hint: 'deploy again to ask again' },
  Cancelled: { code: 'E243', retryable: false, cause: 'person', hint: 'nothing to do' },
  TooLate: { code: 'E244', retryable: false, cause: 'guard', hint: 'wait for the end of the run' },
  NeedsOperator: {
    code: 'E250',
    retryable: false,
    cause: 'fault',
    hint: 'look at the evidence and decide with `headgate recover`',
  },
  Unexpected: {
    code: 'E199',
    retryable: false,
    cause: 'fault',
    hint: 'this is a defect of headgate: report it with the log',
  },
} as const satisfies Record<string, FailureRow>

export type FailureCode = keyof typeof FAILURES

/** Facts for the person who reads the failure; never a secret in them. */
export interface FailureDetail {
  /** Whether the database, services or consumers were changed, in words. */
  changed?: string
  /** Long evidence: differences, blockers, an SQL to run. At most 8 KiB is kept. */
  evidence?: string
}

/** The only kind of error that crosses an activity's boundary. `message`: what happened, to what; lower case, no full stop. */
export function failure(
  code: FailureCode,
  message: string,
  cause?: unknown,
  detail: FailureDetail = {},
): ApplicationFailure {
  return ApplicationFailure.create({
    type: code,
    message,
    nonRetryable: !FAILURES[code].retryable,
    details: [detail],
    ...(cause instanceof Error ? { cause } : {}),
  })
}

/** The failure, to be tried again: only of one that may pass by itself. Of any other `undefined`. */
export function hiccup(error: unknown): ApplicationFailure | undefined {
  const known = knownFailure(error)
  const row: FailureRow | undefined = known && FAILURES[known.code]
  if (!known || !row?.hiccup) return undefined
  return ApplicationFailure.create({
    type: known.code,
    message: known.message,
    nonRetryable: false,
    details: [known.detail],
  })
}

const isFailureCode = (type: unknown): type is FailureCode => typeof type === 'string' && Object.hasOwn(FAILURES, type)

/** Every known failure in the chain of causes, outermost first: errors lose their class crossing Temporal, never their `type`. */
function* failuresIn(error: unknown): Generator<{ code: FailureCode; error: Error; detail: FailureDetail }> {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const type = 'type' in at ? at.type : undefined
    if (!isFailureCode(type)) continue
    const [detail] = 'details' in at && Array.isArray(at.details) ? at.details : []
    yield { code: type, error: at, detail: typeof detail === 'object' && detail !== null ? detail : {} }
  }
}

/** The deepest known failure, or undefined. */
export function knownFailure(
  error: unknown,
): { code: FailureCode; message: string; detail: FailureDetail } | undefined {
  let deepest: { code: FailureCode; message: string; detail: FailureDetail } | undefined
  for (const { code, error: at, detail } of failuresIn(error)) deepest = { code, message: at.message, detail }
  return deepest
}

/** Whether `code` stands anywhere in the chain of causes. */
export function failedWith(error: unknown, code: FailureCode): boolean {
  for (const at of failuresIn(error)) if (at.code === code) return true
  return false
}

/** One line for a person: the deepest known failure's message, else the error's own. */
export function messageOf(error: unknown): string {
  return knownFailure(error)?.message ?? (error instanceof Error ? error.message : String(error))
}
