import { findRun } from '../adapters/journal/runs.js'
import { listEvents, listSteps } from '../adapters/journal/steps.js'
import { hiccup } from '../domain/failures.js'
import { environmentOf } from '../domain/names.js'
import type { StepName } from '../domain/run.js'
import { type Dependencies, onSite } from './site.js'

const UNDOS: ReadonlySet<StepName> = new Set(['put-back', 'redeploy-previous', 'release-writers', 'resume-consumers'])

/**
 * Throws what a step failed with; as retryable where it may pass by itself and nothing would undo the step, so that a
 * hiccup does not leave everything standing. How often it is tried is the promise's to say; then a person is told.
 */
export async function insist(
  dependencies: Dependencies,
  step: StepName,
  runName: string,
  error: unknown,
): Promise<never> {
  const again = hiccup(error)
  if (again && (UNDOS.has(step) || (await hasNoUndo(dependencies, runName).catch(() => false)))) throw again
  throw error
}

/** A contract statement may have committed, a restore that was asked for has begun, or a person takes the run over. */
const hasNoUndo = (dependencies: Dependencies, runName: string): Promise<boolean> =>
  onSite(dependencies, environmentOf(runName), async ({ journal }) => {
    if ((await findRun(journal, runName)).contractStarted) return true
    if ((await listSteps(journal, runName)).some(({ step }) => step === 'restore-backup')) return true
    return (await listEvents(journal, runName)).some(({ type }) => type === 'recover')
  })
