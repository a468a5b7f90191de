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
  /** What to do now: right in every case that throws it. Where one knows better, it says so in the failure's detail. */
  hint: string
}

/** Every way to fail on one screen, with the operator's next move. */
export const FAILURES = {
  UsageInvalid: {
    code: 'E100',
    retryable: false,
    cause: 'fault',
    hint: 'type it again as the message says; `headgate COMMAND --help` lists every option',
  },
  ConfigurationInvalid: {
    code: 'E101',
    retryable: false,
    cause: 'fault',
    hint: 'put right what the message names',
  },
  ReferenceMissing: {
    code: 'E102',
    retryable: false,
    hiccup: true,
    cause: 'fault',
    hint: 'set what the message names where the worker runs, then start that worker again',
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
    hint: 'send what the message asks for; it may have come from a headgate of another version or project',
  },
  RunUnknown: {
    code: 'E105',
    retryable: false,
    cause: 'fault',
    hint: '`headgate status` says what is open, `headgate history` what ended, `headgate backups list` which backups there are',
  },
  AnswerTooLarge: {
    code: 'E106',
    retryable: false,
    cause: 'fault',
    hint: 'ask for a part of it, or release in smaller steps; nothing but the answer is missing',
  },
  TemporalUnreachable: {
    code: 'E110',
    retryable: false,
    cause: 'fault',
    hint: 'start `headgate dev`, or set TEMPORAL_ADDRESS',
  },
  CodecKeyMissing: {
    code: 'E112',
    retryable: true,
    cause: 'fault',
    hint: 'put the key into the file that HEADGATE_CODEC_KEYS names, below the newest one',
  },
  WorkerMissing: {
    code: 'E111',
    retryable: false,
    cause: 'fault',
    hint: 'see that project and environment are right, and start `headgate worker` beside the database (on your own machine: `headgate dev`); one that runs says what it serves',
  },
  JournalUnavailable: {
    code: 'E120',
    retryable: true,
    cause: 'fault',
    hint: 'see that the server answers, and run the SQL that `headgate doctor` prints where the role may not create it',
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
    hint: 'see where the url leads: a plan or a backup counts for its own database alone',
  },
  RightsMissing: {
    code: 'E123',
    retryable: false,
    cause: 'guard',
    hint: 'give the role the right that the message names; `headgate doctor` looks again',
  },
  LoginRefused: {
    code: 'E126',
    retryable: false,
    hiccup: true,
    cause: 'guard',
    hint: "put the role's password of today where the url's reference points, or let the role log in; `headgate doctor` looks again",
  },
  ToolMissing: {
    code: 'E124',
    retryable: false,
    cause: 'guard',
    hint: "install the program on the machine that was to run it; for a run that is the worker's",
  },
  EngineUnreachable: {
    code: 'E127',
    retryable: true,
    hiccup: true,
    cause: 'fault',
    hint: "see that the container engine runs on the worker's host, and that the worker may use it: `docker info`",
  },
  ToolTimedOut: {
    code: 'E125',
    retryable: true,
    cause: 'fault',
    hint: 'find out from its log why the tool did not end',
  },
  PlanStale: {
    code: 'E130',
    retryable: false,
    cause: 'guard',
    hint: 'look at the plan as it is now with `headgate plan`, then deploy again',
  },
  PlanInvalid: {
    code: 'E131',
    retryable: false,
    cause: 'guard',
    hint: "put right what the message names in the release's migrations, then plan again",
  },
  GuardFailed: {
    code: 'E132',
    retryable: false,
    cause: 'guard',
    hint: 'remove what stands in the way, then try again',
  },
  RunOpen: {
    code: 'E133',
    retryable: false,
    cause: 'guard',
    hint: 'let that run end: `headgate status` says where it is, what it waits for, and what to type',
  },
  PreviousUnknown: { code: 'E134', retryable: false, cause: 'guard', hint: 'make the service tell its current tag' },
  RunTaken: {
    code: 'E135',
    retryable: false,
    cause: 'guard',
    hint: 'see what became of the run with `headgate report`: this workflow does nothing more for it',
  },
  LintFailed: {
    code: 'E136',
    retryable: false,
    cause: 'guard',
    hint: 'change what the findings name, or waive them with a reason: docs/review.md',
  },
  RehearsalMissing: {
    code: 'E137',
    retryable: false,
    cause: 'guard',
    hint: 'rehearse the release with `headgate rehearse`, then deploy again',
  },
  FenceLost: { code: 'E140', retryable: true, cause: 'fault', hint: 'a later attempt has taken over; nothing to do' },
  ConsumerNotQuiet: { code: 'E201', retryable: false, cause: 'fault', hint: 'find out why the consumer does not stop' },
  ConsumerNotMoving: {
    code: 'E202',
    retryable: true,
    cause: 'fault',
    hint: 'look at the consumer; resume it by hand if it must be',
  },
  AutodeployNotHeld: {
    code: 'E206',
    retryable: false,
    cause: 'fault',
    hint: 'find out why what deploys by itself does not stop',
  },
  AutodeployNotReleased: {
    code: 'E207',
    retryable: true,
    cause: 'fault',
    hint: 'look at what deploys by itself; switch it on by hand if it must be',
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
    hint: "put right what the message names (space, rights, pg_dump's version), then try again",
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
  StateUnexpected: {
    code: 'E212',
    retryable: true,
    cause: 'fault',
    hint: 'find out who changed what the message names; `headgate info` compares the ledger with the files',
  },
  VerifyFailed: {
    code: 'E213',
    retryable: false,
    cause: 'fault',
    hint: 'look at the ledger, index or check that the message names; fix the migration or the check, then deploy again',
  },
  ServiceOutOfReach: {
    code: 'E224',
    retryable: true,
    cause: 'fault',
    hint: 'see that the worker on its host runs, and polls its queue: `headgate worker --queue NAME`',
  },
  ServiceFailed: {
    code: 'E220',
    retryable: false,
    hiccup: true,
    cause: 'fault',
    hint: "look at the service's log, then deploy again",
  },
  NotReady: {
    code: 'E221',
    retryable: false,
    hiccup: true,
    cause: 'fault',
    hint: "look at the service's log, then deploy again",
  },
  SmokeFailed: {
    code: 'E222',
    retryable: false,
    cause: 'fault',
    hint: "look at the answer in the report and at the service's log, then deploy again",
  },
  RestoreForbidden: {
    code: 'E230',
    retryable: false,
    cause: 'fault',
    hint: 'remove what the message names (it is bound to this very database), then decide with `headgate recover`',
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
    hint: '`headgate status` says whether the run waits, and for which plan; `headgate plan` says who may approve it',
  },
  ApprovalRejected: {
    code: 'E241',
    retryable: false,
    cause: 'person',
    hint: 'talk to who rejected; a new deploy asks again',
  },
  ApprovalExpired: { code: 'E242', retryable: false, cause: 'person', hint: 'deploy again to ask again' },
  Cancelled: { code: 'E243', retryable: false, cause: 'person', hint: 'nothing; deploy again when it suits' },
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
  /** What to do now, where this case knows better than its code. */
  hint?: string
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

export interface KnownFailure {
  code: FailureCode
  message: string
  detail: FailureDetail
}

/** The deepest known failure, or undefined. */
export function knownFailure(error: unknown): KnownFailure | undefined {
  let deepest: KnownFailure | undefined
  for (const { code, error: at, detail } of failuresIn(error)) deepest = { code, message: at.message, detail }
  return deepest
}

/** What to do now. */
export const hintOf = ({ code, detail }: Pick<KnownFailure, 'code' | 'detail'>): string =>
  detail.hint ?? FAILURES[code].hint

/** A migration's failure with other advice than to deploy again; anything else as it is. */
export function advised(error: unknown, hint: string): unknown {
  const known = knownFailure(error)
  if (known?.code !== 'MigrationFailed') return error
  return failure(known.code, known.message, undefined, { ...known.detail, hint })
}

/** Whether `code` stands anywhere in the chain of causes. */
export function failedWith(error: unknown, code: FailureCode): boolean {
  for (const at of failuresIn(error)) if (at.code === code) return true
  return false
}

/** What a migration itself failed of; anything else that goes wrong in `work` is thrown. */
export async function whyNotMigrated(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (failedWith(error, 'MigrationFailed') || failedWith(error, 'MigrationBlocked')) return messageOf(error)
    throw error
  }
}

/** One line for a person: the deepest known failure's message, else the error's own. */
export function messageOf(error: unknown): string {
  return knownFailure(error)?.message ?? (error instanceof Error ? error.message : String(error))
}

/** Of the innermost: an activity that failed says no more than that it did. */
export const rootMessageOf = (error: unknown): string =>
  error instanceof Error && error.cause instanceof Error ? rootMessageOf(error.cause) : messageOf(error)
