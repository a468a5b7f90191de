import type { Journal } from '../adapters/journal/journal.js'
import { findPlan, type RunRecord, replacePlan } from '../adapters/journal/runs.js'
import { listEvents, listSteps } from '../adapters/journal/steps.js'

/** An event of the journal: the rest of the run was planned anew. */
export const FIX = 'fix'
/** Each shows that a fix was begun. */
const BEGINS: readonly string[] = ['migrate', 'restart-services', 'restore-backup']

/**
 * The digest of the plan that stands: a fix that nothing was begun of (it was rejected, cancelled, or its workflow is gone) is
 * none any more, and every other way out is that of the run it was meant for.
 */
export async function standingPlan(journal: Journal, { name, planDigest }: RunRecord): Promise<string> {
  const steps = await listSteps(journal, name)
  const fixes = (await listEvents(journal, name)).filter(({ type }) => type === FIX).reverse()
  let digest = planDigest ?? ''
  for (const { at, body } of fixes) {
    const isBegun = steps.some(({ step, startedAt }) => BEGINS.includes(step) && startedAt > at)
    if (body.digest !== digest || isBegun || typeof body.replaced !== 'string') break
    digest = body.replaced
  }
  return digest
}

/** Puts the plan that stands in the place of a fix that was not begun. Returns its digest. Twice is once. */
export async function keepStandingPlan(journal: Journal, run: RunRecord): Promise<string> {
  const digest = await standingPlan(journal, run)
  if (digest !== run.planDigest) await replacePlan(journal, run.name, digest, await findPlan(journal, digest))
  return digest
}
