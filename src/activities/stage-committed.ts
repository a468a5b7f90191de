import { stillToDo } from '../domain/plan.js'
import { captureOf, compareWithCapture, hasAnybodyCommitted } from './capture.js'
import type { Step } from './changing.js'

/**
 * Whether anything of the stage has committed; it waits for no lock, and can be asked while the migration runs. Where nobody
 * in the cluster has committed nothing has. Else the ledger tells: what is transactional commits together with its row
 * there. One that leaves its transaction and may be under way counts as committed, and so does all of a tool's whose ledger
 * is its own affair.
 */
export async function hasCommitted(step: Step): Promise<boolean> {
  const { site, plan, stage } = step
  const capture = await captureOf(step)
  if (!capture || !(await hasAnybodyCommitted(step, capture))) return false
  if (site.migrator.ledgerTable === undefined) return true
  const ledger = await step.onTarget((session) => site.migrator.ledger(session, plan.tag))
  if (!stage) return false
  const left = stillToDo(stage, ledger)
  const isHalfDone = left.some(({ version }) => version === ledger.dirty)
  return isHalfDone || left.length < stage.migrations.length || left[0]?.transactional === false
}

/** As `hasCommitted`, once no session of the stage is left: then also what no ledger tells of is looked for. */
export async function hasLeftSomething(step: Step): Promise<boolean> {
  const capture = await captureOf(step)
  if (!capture) return false
  const seen = await step.onTarget((session) => compareWithCapture(step, session, capture))
  if (seen.unchanged) return false
  // A sequence moves without a commit, and where the gate is open by others.
  const left = [...seen.schemaDifferences, ...seen.rewrittenTables, ...seen.newInvalidIndexes]
  return left.length > 0 || hasCommitted(step)
}
