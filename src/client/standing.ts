import { WorkflowNotFoundError } from '@temporalio/client'
import { failure } from '../domain/failures.js'
import type { RunKind } from '../domain/plan.js'
import type { Ending, RunState } from '../domain/run.js'
import type { Engine } from './connection.js'
import { endingWhenClosed } from './ended.js'
import { type Progress, progressOf } from './progress.js'
import { type Place, workflowIdOf } from './runs.js'
import { FAILED_TASKS, taskFailure } from './task-failure.js'

/** Where the newest run of an environment stands. */
export interface Standing {
  /** What the run itself says; absent where no worker could answer. */
  state?: RunState
  ending?: Ending
  /** What the step says that runs now, and whether it is tried again. */
  progress?: Progress
  /** Why it makes no progress: its workflow tasks fail. */
  stuck?: string
  /** The execution that was looked at. */
  executionId: string
}

const ANSWER_MS = 5_000

/** Undefined where Temporal knows no run. Throws `WorkerMissing` for an open run whose worker is away. */
export async function standingOf(
  engine: Engine,
  place: Place,
  kind: RunKind = 'deploy',
): Promise<Standing | undefined> {
  const { client } = engine
  const newest = client.workflow.getHandle(workflowIdOf(kind, place))
  const described = await newest.describe().catch((error: unknown) => {
    if (error instanceof WorkflowNotFoundError) return undefined
    throw error
  })
  if (!described) return undefined
  const { runId: executionId, memo } = described
  const run = typeof memo?.run === 'string' ? memo.run : ''
  const state = await client
    .withDeadline(Date.now() + ANSWER_MS, () => newest.query<RunState>('state'))
    .catch(() => undefined)
  // What a terminated run says of itself is where it was; only how its workflow closed tells that it is over.
  if (described.status.name !== 'RUNNING') {
    const handle = client.workflow.getHandle(newest.workflowId, executionId)
    const closed = () => endingWhenClosed(handle, () => run, AbortSignal.timeout(ANSWER_MS))
    return { ...(state ? { state } : {}), ending: state?.ending ?? (await closed()), executionId }
  }
  if (state) {
    if (state.ending) return { state, executionId, ending: state.ending }
    const progress = await progressOf(engine, newest)
    return { state, executionId, ...(progress === undefined ? {} : { progress }) }
  }
  const attempts = described.raw.pendingWorkflowTask?.attempt ?? 0
  const why = attempts > FAILED_TASKS ? await taskFailure(client, newest.workflowId, executionId) : undefined
  if (why !== undefined) return { stuck: `its workflow task failed ${attempts - 1} times: ${why}`, executionId }
  const { HeadgateStep: [step] = [] } = described.searchAttributes
  throw failure(
    'WorkerMissing',
    `${run === '' ? 'a run' : `run ${run}`} is open on ${place.environment}${typeof step === 'string' ? `, at ${step}` : ''}, but no worker answers`,
  )
}
