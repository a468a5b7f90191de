import { setTimeout as pause } from 'node:timers/promises'
import {
  WorkflowExecutionAlreadyStartedError,
  type WorkflowHandle,
  type WorkflowHandleWithFirstExecutionRunId,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client'
import { failure, messageOf } from '../domain/failures.js'
import { backupWorkflowId, recoverWorkflowId, taskQueue, workflowId } from '../domain/names.js'
import type { RunKind } from '../domain/plan.js'
import type { RunInput, RunState } from '../domain/run.js'
import type { Engine } from './connection.js'

/** How long a question to a run may take: it needs a live worker to answer. */
const ANSWER_MS = 10_000
/** `TASK_QUEUE_TYPE_WORKFLOW` of Temporal's API. */
const WORKFLOW_TASKS = 1
const POLLER_LOOKS = 4
const POLLER_PAUSE_MS = 250

export interface Place {
  project: string
  environment: string
  queue?: string
}

export const queueOf = ({ project, environment, queue }: Place): string => queue ?? taskQueue(project, environment)

/** The workflow ID that runs of this kind share: the server itself refuses a second one. */
export function workflowIdOf(kind: RunKind | 'recover backup', { project, environment }: Place): string {
  if (kind === 'backup') return backupWorkflowId(project, environment)
  if (kind === 'recover backup') return recoverWorkflowId(project, environment, 'backup')
  return kind === 'recover' ? recoverWorkflowId(project, environment) : workflowId(project, environment)
}

/** Throws `WorkerMissing` when nobody polls the environment's queue. A worker that has just started is waited for a moment. */
export async function requireWorker(
  { client, namespace }: Pick<Engine, 'client' | 'namespace'>,
  place: Place,
): Promise<void> {
  const name = queueOf(place)
  for (let look = 0; look < POLLER_LOOKS; look++) {
    if (look > 0) await pause(POLLER_PAUSE_MS)
    const request = { namespace, taskQueue: { name }, taskQueueType: WORKFLOW_TASKS }
    const { pollers } = await client.workflowService.describeTaskQueue(request)
    if ((pollers ?? []).length > 0) return
  }
  throw failure('WorkerMissing', `no worker polls ${name}`)
}

/** Starts a run. Throws `RunOpen` naming the other run, `WorkerMissing`. */
export async function startRun(
  engine: Engine,
  kind: RunKind,
  place: Place,
  input: RunInput & Record<string, unknown>,
): Promise<WorkflowHandleWithFirstExecutionRunId> {
  await requireWorker(engine, place)
  const id = workflowIdOf(kind === 'recover' && input.recover?.of === 'backup' ? 'recover backup' : kind, place)
  try {
    return await engine.client.workflow.start(kind, {
      workflowId: id,
      taskQueue: queueOf(place),
      args: [input],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      staticSummary: `${kind} ${place.environment}${input.tag === undefined ? '' : ` to ${input.tag}`}`,
    })
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
    const other = await stateOf(engine.client.workflow.getHandle(id)).catch(() => undefined)
    throw failure('RunOpen', `${other?.run ? `run ${other.run}` : 'a run'} is open on ${place.environment}`, error, {
      hint:
        other?.waiting === undefined
          ? `follow it with headgate watch ${place.environment}; start yours when it has ended`
          : `it waits for you: ${other.waiting}, or headgate cancel ${other.run}; start yours when it has ended`,
    })
  }
}

/** What carries the environment's newest run now: a recovery while one is under way, else the workflow that began it. */
export async function carryingKind({ client }: Engine, place: Place): Promise<'recover' | 'deploy'> {
  const recovery = client.workflow.getHandle(workflowIdOf('recover', place))
  const status = await recovery.describe().then(
    ({ status }) => status.name,
    (error: unknown) => {
      if (error instanceof WorkflowNotFoundError) return undefined
      throw error
    },
  )
  return status === 'RUNNING' ? 'recover' : 'deploy'
}

/** The newest execution of what carries the environment's newest run. */
export const handleOf = async (engine: Engine, place: Place): Promise<WorkflowHandle> =>
  engine.client.workflow.getHandle(workflowIdOf(await carryingKind(engine, place), place))

/** Asks a run where it stands. Throws `RunUnknown`, `WorkerMissing` when no worker answers in time. */
export async function stateOf(handle: WorkflowHandle): Promise<RunState> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(failure('WorkerMissing', 'no worker answered in time')), ANSWER_MS).unref()
  })
  try {
    return await Promise.race([handle.query<RunState>('state'), late])
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw failure('RunUnknown', `Temporal knows no run ${handle.workflowId}`, error)
    throw error
  }
}

/** Sends an Update and returns its answer. Throws what the run said when it refused. */
export async function tell(
  handle: WorkflowHandle,
  update: 'approve' | 'reject' | 'hold' | 'continue' | 'retry' | 'cancel',
  message: object,
): Promise<string> {
  try {
    return await handle.executeUpdate<string, [unknown]>(update, { args: [message] })
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw failure('RunUnknown', `there is no open run ${handle.workflowId}`, error)
    if (error instanceof WorkflowUpdateFailedError) throw error.cause ?? failure('ApprovalRefused', messageOf(error))
    throw error
  }
}

/** Environments of a project that had runs Temporal still knows of, in alphabetical order. */
export async function listEnvironments({ client }: Engine, project: string): Promise<string[]> {
  const prefix = workflowId(project, '')
  const found = new Set<string>()
  const query = `WorkflowId STARTS_WITH "${prefix}" AND WorkflowType NOT IN ("look", "serviceCall")`
  for await (const { workflowId: id } of client.workflow.list({ query }))
    found.add(id.slice(prefix.length).split('/')[0] ?? '')
  return [...found].sort()
}
