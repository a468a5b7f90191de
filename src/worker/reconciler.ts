import { setTimeout as pause } from 'node:timers/promises'
import { type Client, WorkflowNotFoundError } from '@temporalio/client'
import { findRun, openRunsOf, type RunRecord } from '../adapters/journal/runs.js'
import { executionCarrying } from '../domain/names.js'
import type { Journal } from '../adapters/journal/journal.js'
import { listEvents, recordEvent } from '../adapters/journal/steps.js'

/** A task that failed this often will not succeed by itself. */
const FAILED_TASKS = 2

/** What became of the workflow that carries a run. */
type Carrying =
  | { as: 'carried' }
  | { as: 'stuck'; why: string }
  | { as: 'gone'; why: string }
  | { as: 'unknown'; why: string }

export interface ReconcilerOptions {
  client: Client
  /** Names the Temporal the client is connected to. */
  engine: string
  project: string
  everyMs: number
  /** The journal is opened where it can be. */
  environments: () => readonly { environment: string; journal: () => Promise<Journal> }[]
  onLine: (line: string) => void
  /** Tells people. Never throws. */
  tell: (run: RunRecord, text: string) => Promise<void>
}

/**
 * Compares the journal's open runs with what Temporal knows, until `signal` aborts, and tells of those that nobody carries
 * any more or whose workflow cannot go on. It changes nothing: what is done with them a person decides. Several workers may
 * do it beside each other.
 */
export async function reconcile(options: ReconcilerOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const place of options.environments()) {
      try {
        await reconcileOne(options, place)
      } catch {
        // Temporal or the journal is away: the next look is soon, and readiness says it.
      }
    }
    await pause(options.everyMs, undefined, { signal }).catch(() => {})
  }
}

type Place = ReturnType<ReconcilerOptions['environments']>[number]

async function reconcileOne(options: ReconcilerOptions, place: Place): Promise<void> {
  const journal = await place.journal()
  for (const run of await openRunsOf(journal, options.project, place.environment)) {
    // What ended as needs-operator waits for a person.
    if (run.outcome !== undefined) continue
    const carrying = await carryingOf(options, run)
    if (carrying.as === 'carried') continue
    // It may have ended, or been taken over, while it was looked at.
    const { state, outcome, carrier } = await findRun(journal, run.name)
    if (state === 'ended' || outcome !== undefined || carrier !== run.carrier) continue
    await once(journal, run, carrying, () => say(options, run, carrying.why))
  }
}

async function carryingOf(options: ReconcilerOptions, run: RunRecord): Promise<Carrying> {
  const { client, engine } = options
  const { workflowId: id, runId: recovery } = executionCarrying(run.carrier)
  try {
    const { status, raw, runId } = await client.workflow.getHandle(id, recovery).describe()
    const { firstRunId } = raw.workflowExecutionInfo ?? {}
    const isIt = recovery !== undefined || !firstRunId || firstRunId === run.workflowRunId
    if (status.name === 'RUNNING' && isIt) {
      const why =
        (raw.pendingWorkflowTask?.attempt ?? 0) > FAILED_TASKS ? await taskFailure(options, id, runId) : undefined
      return why === undefined ? { as: 'carried' } : { as: 'stuck', why: `its workflow cannot go on: ${why}` }
    }
    if (isIt)
      return { as: 'gone', why: `its workflow is ${status.name.toLowerCase()} in Temporal, and the run has not ended` }
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error
  }
  if (run.engine === '' || run.engine === engine)
    return { as: 'gone', why: 'Temporal does not know its workflow any more' }
  const text = `it was started on another Temporal than this worker's: if that one is gone, headgate recover ${run.name}`
  return { as: 'unknown', why: text }
}

/** Why the newest workflow task failed; undefined where it only timed out: a worker that died takes its task with it. */
async function taskFailure(
  { client }: ReconcilerOptions,
  workflowId: string,
  runId: string,
): Promise<string | undefined> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 3,
  })
  for (const { workflowTaskFailedEventAttributes: failed } of history?.events ?? [])
    if (failed) return failed.failure?.message ?? 'no reason is given'
  return undefined
}

/** Once for each carrier and finding; better twice than not at all. */
async function once(
  journal: Journal,
  run: RunRecord,
  { as, why }: Exclude<Carrying, { as: 'carried' }>,
  act: () => Promise<void>,
): Promise<void> {
  const known = (await listEvents(journal, run.name)).some(
    ({ type, body }) => type === as && body.carrier === run.carrier,
  )
  if (known) return
  await act()
  await recordEvent(journal, run.name, as, { why, carrier: run.carrier })
}

async function say({ onLine, tell }: ReconcilerOptions, run: RunRecord, why: string): Promise<void> {
  onLine(`${run.environment}: run ${run.name}: ${why}`)
  await tell(run, why)
}
