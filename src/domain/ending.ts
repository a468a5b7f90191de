import { type Cause, FAILURES, hintOf, type KnownFailure } from './failures.js'
import { exitCode, type Outcome } from './outcome.js'
import type { RunKind } from './plan.js'
import type { DatabaseState, Ending, RecoverWay } from './run.js'

/** What is known when a run that failed or was cancelled has been undone. */
export interface Undone {
  /** An undo failed, or nobody could tell what the database is like. */
  needsOperator: boolean
  /** An earlier stage of the same run is done: the new image runs on the expanded schema. */
  earlierStageDone: boolean
  /** The stage's services had been restarted and the previous image was brought back. */
  redeployed: boolean
  database: DatabaseState
}

/** The outcome of a run that did not reach its end: one pure function. */
export function outcomeAfter({
  needsOperator,
  earlierStageDone,
  redeployed,
  database,
}: Undone): Exclude<Outcome, 'succeeded'> {
  if (needsOperator || database === 'unknown') return 'needs-operator'
  if (earlierStageDone) return 'deferred'
  if (database === 'restored') return 'restored'
  if (redeployed || database === 'prefix-kept' || database === 'at-target') return 'rolled-back'
  return 'aborted'
}

/** What was found after a person's choice was carried out. */
export interface AfterRecovery {
  way: RecoverWay
  /** The backup of before the stage is in place. */
  isSwapped: boolean
  /** The stage where the run had stopped. */
  stage: number
  /** Whether the ledger has every planned migration of the phase. */
  expanded: boolean
  contracted: boolean
  /** The ledger has nothing that the plan does not know, and nothing half done. */
  ledgerIsClean: boolean
  /** A contract statement may have committed. */
  contractStarted: boolean
  /** A migration that is not transactional was begun and is not in the ledger. */
  mayBePartial: boolean
  /** Every configured check on the database is positive. */
  verified: boolean
  onNewImage: boolean
  onPreviousImage: boolean
}

/** The outcome that was proven after a recovery; `needs-operator` where it can only be taken as it is: one pure function. */
export function outcomeOfRecovery(found: AfterRecovery): Outcome {
  const { way, stage, expanded, contracted, contractStarted, onNewImage, onPreviousImage } = found
  if (way === 'resume') return stage > 1 ? 'deferred' : found.isSwapped ? 'restored' : 'aborted'
  const isWhole = found.ledgerIsClean && !found.mayBePartial
  const isProven = isWhole && found.verified
  if (way === 'restore' && stage <= 1) return onPreviousImage ? 'restored' : 'needs-operator'
  if (way !== 'redeploy') {
    if (isProven && onNewImage && expanded && contracted) return 'succeeded'
    if (isProven && onNewImage && expanded && !contractStarted) return 'deferred'
  }
  return isWhole && onPreviousImage && !contractStarted ? 'rolled-back' : 'needs-operator'
}

const DATABASE: Record<Outcome, string> = {
  succeeded: 'at the target, verified',
  aborted: 'unchanged',
  restored: 'equal to before the run',
  'rolled-back': 'no write lost; the schema is at a version the previous image runs on',
  deferred: 'expanded; the contract phase was not applied',
  'needs-operator': 'a person must look: see the evidence',
}
const SERVICES: Record<Outcome, string> = {
  succeeded: 'on the new image',
  aborted: 'as before',
  restored: 'on the previous image',
  'rolled-back': 'on the previous image',
  deferred: 'on the new image',
  'needs-operator': 'as the run has left them',
}

/** What `succeeded` means for each kind of run. */
export const SUCCEEDED: Record<RunKind, { database: string; services: string }> = {
  deploy: { database: DATABASE.succeeded, services: SERVICES.succeeded },
  migrate: { database: DATABASE.succeeded, services: 'as before' },
  backup: { database: 'unchanged, backed up', services: 'as before' },
  restore: { database: 'equal to the backup; what was live is kept as quarantine', services: 'on the image of then' },
  rollback: { database: 'unchanged', services: 'on the previous image' },
  repair: { database: "its schema is unchanged; the migrator's history was changed", services: 'as before' },
  'init-db': { database: 'fresh, at the newest version', services: 'as before' },
  recover: { database: DATABASE.succeeded, services: SERVICES.succeeded },
}

const NONE = 'none are configured'
const NOT_TOUCHED = 'not touched'

function consumersAfter(outcome: Outcome, paused: boolean, isAccepted: boolean): string {
  if (outcome !== 'needs-operator' || isAccepted) return 'as before the run'
  return paused ? 'still paused' : 'as the run has left them'
}

/** Whether the run still waits for a person, and blocks others. */
export const isOpen = ({ outcome, acceptedBy }: Pick<Ending, 'outcome' | 'acceptedBy'>): boolean =>
  outcome === 'needs-operator' && acceptedBy === undefined

/** Puts an ending into words: what happened, what is what, what to type next. */
export function endingOf(facts: {
  run: string
  outcome: Outcome
  cause?: Cause | undefined
  reason: string
  database?: string | undefined
  services?: string | undefined
  paused?: boolean
  /** Whether any service is configured, and any consumer paused by such a run; else nothing is said of them. */
  serves?: boolean
  pauses?: boolean
  next?: string
  /** What it failed with, if it did. */
  failure?: Pick<KnownFailure, 'code' | 'detail'>
  acceptedBy?: string | undefined
}): Ending {
  const { run, outcome, cause, reason, failure, acceptedBy } = facts
  const waits = isOpen({ outcome, acceptedBy })
  return {
    run,
    outcome,
    ...(cause === undefined ? {} : { cause }),
    exit: exitCode(outcome, cause),
    reason,
    database: facts.database ?? DATABASE[outcome],
    services: facts.serves === false ? NONE : (facts.services ?? SERVICES[outcome]),
    consumers: facts.pauses === false ? NOT_TOUCHED : consumersAfter(outcome, facts.paused === true, !waits),
    next: facts.next ?? (waits ? `headgate recover ${run}` : `headgate report ${run}`),
    ...(failure === undefined ? {} : { code: FAILURES[failure.code].code, hint: hintOf(failure) }),
    ...(acceptedBy === undefined ? {} : { acceptedBy }),
  }
}
