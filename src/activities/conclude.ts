import { Context } from '@temporalio/activity'
import { endRun, findRun } from '../adapters/journal/runs.js'
import { listSteps, noticeNumber, recordEvent } from '../adapters/journal/steps.js'
import { notifyAll } from '../adapters/notifier/index.js'
import { endingOf, isOpen } from '../domain/ending.js'
import { failedWith, hiccup } from '../domain/failures.js'
import { environmentOf } from '../domain/names.js'
import { EXIT } from '../domain/outcome.js'
import type { Notice } from '../adapters/notifier/port.js'
import type { Ending } from '../domain/run.js'
import { findUnended } from './find-unended.js'
import { beating } from './heartbeat.js'
import { type Dependencies, onSite, type Site } from './site.js'
import { keepStandingPlan } from './standing-plan.js'

/**
 * Ends the run in the journal and tells people. Twice is once, but people may be told again: better than not at all.
 * `needs-operator` leaves it open: only `recover` ends it. One that another workflow has ended meanwhile ended as that one said.
 * `knows` is what the workflow did of the stage in which it failed: where the journal has more it was reset, and its word is not
 * taken. The run stays as it is then, carried by nobody, and is looked at as any such run.
 */
export const conclude =
  (dependencies: Dependencies) =>
  (
    run: string,
    ending: Ending,
    options: { cancelWorkflow: boolean; evidence?: string; knows?: Known },
  ): Promise<Ending> =>
    beating(({ signal, taskToken, carrier }) =>
      onSite(dependencies, environmentOf(run), async (site) => {
        // An attempt that woke up late must not end a run that a recovery has taken over.
        await dependencies.requireCurrent(taskToken)
        // What another workflow has taken over is not this one's to end.
        const record = await findRun(site.journal, run)
        if (record.carrier !== carrier) {
          // It closes as cancelled all the same, or it would wait for that for ever.
          if (options.cancelWorkflow) await dependencies.cancelWorkflow(record.workflowId, record.firstRunId)
          return (record.state === 'ended' && record.ending) || ending
        }
        if (record.state === 'open' && (await didMore(site, run, options.knows))) return wasReset(ending)
        // Of a fix that came to nothing nobody should read as if it were the run's release.
        if (record.state === 'open' && isOpen(ending)) await keepStandingPlan(site.journal, record)
        await endRun(site.journal, run, ending, { carrier, evidence: options.evidence })
        // Of a workflow that was reset it is what the run had come to before.
        const stands = (record.state === 'ended' && record.ending) || ending
        const { outcome, reason, next } = stands
        await tell(site, run, { kind: noticeOf(stands), text: `${outcome}: ${reason}`, next, by: thisStep() }, signal)
        if (options.cancelWorkflow) await dependencies.cancelWorkflow(record.workflowId, record.firstRunId)
        return stands
      }),
    ).catch((error) => {
      // Nothing comes after it that would undo it.
      throw hiccup(error) ?? error
    })

/** The steps that a workflow has done, or tried, of a stage. */
interface Known {
  stage: number
  steps: readonly string[]
}

/** Whether the run did more than its workflow knows. */
async function didMore({ journal }: Site, run: string, knows: Known | undefined): Promise<boolean> {
  if (!knows) return false
  const { stage, steps } = knows
  return (await listSteps(journal, run)).some(
    (step) => step.stage > stage || (step.stage === stage && !steps.includes(step.step)),
  )
}

const wasReset = ({ run }: Ending): Ending =>
  endingOf({
    ...{ run, outcome: 'needs-operator', failure: { code: 'NeedsOperator', detail: {} } },
    reason:
      'the workflow was reset to before what the run had done: the worker looks at what is, and recovers it where that is proven right',
    next: `headgate status ${run}`,
  })

function noticeOf(ending: Ending): Notice['kind'] {
  if (isOpen(ending)) return 'needs-operator'
  if (ending.outcome === 'succeeded' || ending.outcome === 'deferred') return ending.outcome
  return ending.exit === EXIT.done ? 'recovered' : 'failed'
}

/** Tells people that the run waits. Never fails the run, unless that has ended: its workflow was reset then, and waits for nothing. */
export const notify =
  (dependencies: Dependencies) =>
  (run: string, kind: 'waiting' | 'held', text: string): Promise<void> =>
    beating(async ({ signal }) => {
      try {
        const site = await dependencies.site(environmentOf(run))
        await findUnended(site.journal, run)
        await recordEvent(site.journal, run, kind, { text })
        await tell(site, run, { kind, text, next: undefined, by: thisStep() }, signal)
      } catch (error) {
        if (failedWith(error, 'RunTaken')) throw error
        // The wait itself is what matters, and it is seen in Temporal too.
      }
    })

/** The activity that asks, whatever its attempt: another try tells the same thing. */
export function thisStep(): string {
  const { activityId, workflowExecution } = Context.current().info
  return `${workflowExecution?.runId}/${activityId}`
}

/**
 * Tells people; what failed to reach them is journaled. Who is told twice `by` the same knows it by its number. Never throws
 * but for the journal's sake.
 */
export async function tell(
  site: Site,
  run: string,
  { kind, text, next, by }: Pick<Notice, 'kind' | 'text'> & { next: string | undefined; by: string },
  signal: AbortSignal,
): Promise<void> {
  if (site.notifiers.length === 0) return
  const { project, environment } = site.configuration
  const notice = {
    run,
    ...(await noticeNumber(site.journal, run, by, kind)),
    project,
    environment,
    kind,
    text,
    ...(next === undefined ? {} : { next }),
  }
  const failed = await notifyAll(site.notifiers, notice, signal)
  for (const text of failed) await recordEvent(site.journal, run, 'not notified', { text })
}
