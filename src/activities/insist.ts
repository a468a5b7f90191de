import { findRun } from '../adapters/journal/runs.js'
import { listSteps, recordEvent } from '../adapters/journal/steps.js'
import { Context } from '@temporalio/activity'
import { tell, thisStep } from './conclude.js'
import { hiccup, messageOf } from '../domain/failures.js'
import { environmentOf } from '../domain/names.js'
import type { StepName } from '../domain/run.js'
import { recoveriesOf } from './recoveries.js'
import { type Dependencies, onSite } from './site.js'

/** So many attempts have failed. */
const TOLD_AT = 5
const UNDOS: ReadonlySet<StepName> = new Set<StepName>([
  'put-back',
  'redeploy-previous',
  'release-writers',
  'resume-consumers',
  'release-autodeploy',
])

/**
 * Throws what a step failed with; as retryable where it may pass by itself and nothing would undo the step, so that a
 * hiccup does not leave everything standing. How often it is tried is the promise's to say; people are told before it gives up.
 */
export async function insist(
  dependencies: Dependencies,
  step: StepName,
  runName: string,
  error: unknown,
): Promise<never> {
  const insists = UNDOS.has(step) || (await hasNoUndo(dependencies, runName).catch(() => false))
  if (!insists) throw error
  const { info, cancellationSignal } = Context.current()
  if (info.attempt === TOLD_AT)
    await sayThatItDrags(dependencies, step, runName, error, cancellationSignal).catch(() => {})
  throw hiccup(error) ?? error
}

/** Many more tries may follow: whoever can help should not hear of it only then. */
const sayThatItDrags = (
  dependencies: Dependencies,
  step: StepName,
  run: string,
  error: unknown,
  signal: AbortSignal,
): Promise<void> =>
  onSite(dependencies, environmentOf(run), async (site) => {
    const text = `${step} failed ${TOLD_AT} times and is tried again: ${messageOf(error)}`
    await recordEvent(site.journal, run, 'drags', { text })
    await tell(
      site,
      run,
      { kind: 'stuck', text, next: `headgate status ${environmentOf(run)}`, by: thisStep() },
      signal,
    )
  })

/** A contract statement may have committed, a restore that was asked for has begun, or a person takes the run over. */
const hasNoUndo = (dependencies: Dependencies, runName: string): Promise<boolean> =>
  onSite(dependencies, environmentOf(runName), async ({ journal }) => {
    if ((await findRun(journal, runName)).contractStarted) return true
    if ((await listSteps(journal, runName)).some(({ step }) => step === 'restore-backup')) return true
    return (await recoveriesOf(journal, runName)).length > 0
  })
