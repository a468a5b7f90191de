import { endRun, findRun } from '../adapters/journal/runs.js'
import { recordEvent } from '../adapters/journal/steps.js'
import { notifyAll } from '../adapters/notifier/index.js'
import { environmentOf } from '../domain/names.js'
import type { Notice } from '../adapters/notifier/port.js'
import type { Ending } from '../domain/run.js'
import { beating } from './heartbeat.js'
import { type Dependencies, onSite, type Site } from './site.js'

/** Ends the run in the journal and tells people. Twice is once. `needs-operator` leaves it open: only `recover` ends it. */
export const conclude =
  (dependencies: Dependencies) =>
  (run: string, ending: Ending, options: { cancelWorkflow: boolean; evidence?: string }): Promise<Ending> =>
    beating(({ signal }) =>
      onSite(dependencies, environmentOf(run), async (site) => {
        const record = await findRun(site.journal, run)
        if (record.state === 'open') {
          if (options.evidence !== undefined)
            await recordEvent(site.journal, run, 'evidence', { text: options.evidence })
          await endRun(site.journal, run, ending)
          const kind =
            ending.outcome === 'succeeded'
              ? 'succeeded'
              : ending.outcome === 'needs-operator'
                ? 'needs-operator'
                : 'failed'
          await tell(site, run, kind, `${ending.outcome}: ${ending.reason}`, ending.next, signal)
        }
        if (options.cancelWorkflow) await dependencies.cancelWorkflow(record.workflowId, record.workflowRunId)
        return ending
      }),
    )

/** Tells people that the run waits. Never fails the run. */
export const notify =
  (dependencies: Dependencies) =>
  (run: string, kind: 'started' | 'waiting' | 'held', text: string): Promise<void> =>
    beating(async ({ signal }) => {
      try {
        const site = await dependencies.site(environmentOf(run))
        await recordEvent(site.journal, run, kind, { text })
        await tell(site, run, kind, text, undefined, signal)
      } catch {
        // The wait itself is what matters, and it is seen in Temporal too.
      }
    })

const SEQUENCE: Record<Notice['kind'], number> = {
  started: 1,
  waiting: 2,
  held: 3,
  succeeded: 9,
  failed: 9,
  'needs-operator': 9,
}

async function tell(
  site: Site,
  run: string,
  kind: Notice['kind'],
  text: string,
  next: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (site.notifiers.length === 0) return
  const { project, environment } = site.configuration
  const notice = {
    run,
    sequence: SEQUENCE[kind],
    project,
    environment,
    kind,
    text,
    ...(next === undefined ? {} : { next }),
  }
  const failed = await notifyAll(site.notifiers, notice, signal)
  for (const text of failed) await recordEvent(site.journal, run, 'not notified', { text })
}
