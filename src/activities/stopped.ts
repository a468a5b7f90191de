import type { StepRecord } from '../adapters/journal/steps.js'
import { failure } from '../domain/failures.js'
import type { Plan } from '../domain/plan.js'
import type { StepName } from '../domain/run.js'

/** The stage where a run stopped. */
export const stoppedAt = (steps: readonly StepRecord[]): number => steps.findLast(({ stage }) => stage > 0)?.stage ?? 1

/** Each of these steps shows that a stage of this phase was approved and begun. */
const BEGINS: Record<Plan['stages'][number]['phase'], readonly StepName[]> = {
  // Behind a closed gate and a backup; where the ledger had all of the stage already, nothing was migrated.
  expand: ['backup', 'migrate', 'verify'],
  contract: ['backup', 'migrate', 'verify'],
  'undo-contract': ['backup', 'migrate', 'verify'],
  'undo-expand': ['backup', 'migrate', 'verify'],
  image: ['restart-services'],
  restore: ['quiesce-writers'],
}

/** A stage that was never begun has perhaps no approval, no backup and no closed gate: it is not finished, but begun anew. Throws `GuardFailed`. */
export function requireBegun(plan: Plan, stopped: number, steps: readonly StepRecord[]): void {
  const stage = plan.stages.find(({ number }) => number === stopped)
  if (!stage || (stage.phase === 'image' && !stage.approval)) return
  const begins = new Set<string>(BEGINS[stage.phase])
  const isBegun = ({ step, stage: at, state }: StepRecord): boolean =>
    at === stopped && begins.has(step) && (step !== 'backup' || state === 'done')
  if (steps.some(isBegun)) return
  throw failure(
    'GuardFailed',
    `stage ${stopped} was not begun: there is nothing to finish, choose accept and start the command again`,
  )
}
