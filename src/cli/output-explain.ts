import { FAILURES, type FailureCode } from '../domain/failures.js'
import { table } from './output-words.js'

/** What has happened, for who reads the code for the first time. The compiler asks for each. */
const MEANS: Record<FailureCode, string> = {
  UsageInvalid: 'the command line is not right: an option, an argument or a confirmation',
  ConfigurationInvalid:
    'headgate.yaml cannot be read, or something in it is not right; each place is told by line and column',
  ReferenceMissing: 'a reference (env, file or command) in headgate.yaml leads nowhere where the worker runs',
  EnvironmentUnknown: 'headgate.yaml names no such environment',
  InputInvalid: 'a worker was sent something that it does not understand, or that is meant for another project',
  RunUnknown: 'there is no such run or backup, or it has ended',
  TemporalUnreachable: 'the Temporal server does not answer at its address, or refuses us',
  WorkerMissing: 'Temporal is there, but no worker that serves this environment answers',
  JournalUnavailable: "the journal's database cannot be opened or created: nothing is done that cannot be recorded",
  DatabaseUnreachable: 'the database does not answer, or refuses the role',
  DatabaseWrong: 'the database is not the one that the plan was made for: another cluster, another oid, a standby',
  RightsMissing: 'the role may not do what the run needs',
  ToolMissing: 'a program that the run calls is not installed where the worker runs, or does not start',
  ToolTimedOut: 'a program did not end within its time and was ended',
  PlanStale: 'what would be done is not any more what was planned: a file, an image or the database changed',
  PlanInvalid: 'the release cannot be planned: edited or missing migrations, two heads, expand after contract',
  GuardFailed: 'something that must not be there was found before anything was paused',
  RunOpen: 'another run of this environment or database is open, perhaps one that needs an operator',
  PreviousUnknown: 'which image runs now is not known: there would be no way back',
  FenceLost: 'a later attempt of the same step has taken over, and this one stopped',
  ConsumerNotQuiet: 'a consumer was told to pause and is not proven quiet: it is resumed, nothing was migrated',
  ConsumerNotMoving: 'a consumer was told to resume and is not proven moving',
  WritersNotQuiet: 'somebody still writes although the gate should be closed',
  BackupFailed: 'the backup could not be taken or verified: nothing is migrated without one',
  BackupDamaged: 'the backup is not what its manifest says',
  MigrationFailed: 'the migrator ended with an error; what it changed is undone',
  MigrationBlocked: 'the migration did not get its lock within its budget; the evidence names who holds it',
  StateUnexpected: 'the database is neither as before nor as after the step',
  VerifyFailed: 'the migrations were applied, and a proof after them failed',
  ServiceFailed: 'a service could not be deployed, started or stopped',
  NotReady: 'a service was started and did not become ready within its time',
  SmokeFailed: 'a service is ready, and a smoke test of it failed',
  RestoreForbidden: 'others may have written since the backup: a restore would lose it, so none is done by itself',
  RestoreFailed: 'the backup could not be put in place; the live database was not touched by it',
  ApprovalRefused: 'an approval did not count: the wrong plan, the wrong person, no valid signature, too late',
  ApprovalRejected: 'a person rejected the stage',
  ApprovalExpired: 'nobody approved the stage in time',
  Cancelled: 'a person cancelled the run, and it was undone',
  TooLate: 'the run is past the point where this could still be done',
  NeedsOperator: 'the way back failed or is not proven: the run stopped, and what is paused stays paused',
  Unexpected: 'something that headgate does not know',
}

const CAUSES = { guard: 'a guard', person: 'a person', fault: 'a fault' } as const

export function explanationLines(name: FailureCode): string[] {
  const { code, retryable, cause, hint } = FAILURES[name]
  return [
    `${code} ${name}`,
    `  means    ${MEANS[name]}`,
    `  cause    ${CAUSES[cause]}`,
    `  again    ${retryable ? 'the step is tried again by itself' : 'not tried again by itself'}`,
    `  do       ${hint}`,
  ]
}

export const explanationAnswer = (name: FailureCode): object => {
  const { code, retryable, cause, hint } = FAILURES[name]
  return { code, name, means: MEANS[name], cause, retryable, next: hint }
}

export function explanationList(): string[] {
  const rows = Object.entries(FAILURES).map(([name, { code, hint }]) => [code, name, hint])
  return [...table([['CODE', 'NAME', 'DO'], ...rows]), 'next  headgate explain CODE']
}
