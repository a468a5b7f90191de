import { type Client, WorkflowNotFoundError } from '@temporalio/client'
import { failure } from '../domain/failures.js'
import { BY_HAND, executionCarrying } from '../domain/names.js'
import { FAILED_TASKS, taskFailure } from './task-failure.js'

/** What became of the workflow that carries a run. */
export type Carrying =
  | { as: 'carried' }
  | { as: 'by hand' }
  | { as: 'stuck'; why: string }
  | { as: 'gone'; why: string }
  | { as: 'unknown'; why: string }

interface Carried {
  name: string
  carrier: string
  firstRunId: string
  engine: string
}

/** What to do where a run cannot be recovered, because a workflow has it. */
export const insteadOfRecovery = {
  carried: (run: string): string =>
    `follow it with headgate watch ${run}; steer it with headgate hold, retry or cancel`,
  stuck: (run: string): string =>
    `put right what it says, or terminate the workflow in Temporal; then headgate recover ${run}`,
}

/** Throws `RunOpen` where a workflow still carries the run, be it stuck: such a run is steered, not taken over. */
export async function requireAbandoned(client: Client, engine: string, run: Carried): Promise<void> {
  const carrying = await carryingOf(client, engine, run)
  if (carrying.as !== 'carried' && carrying.as !== 'stuck') return
  const why = carrying.as === 'stuck' ? carrying.why : 'its workflow still carries it'
  throw failure('RunOpen', `run ${run.name}: ${why}`, undefined, { hint: insteadOfRecovery[carrying.as](run.name) })
}

/** Asks the Temporal of `client`, which `engine` names. Throws what the client throws where that one does not answer. */
export async function carryingOf(client: Client, engine: string, run: Carried): Promise<Carrying> {
  if (run.carrier === BY_HAND) return { as: 'by hand' }
  const { workflowId: id, runId: recovery } = executionCarrying(run.carrier)
  try {
    const { status, raw, runId } = await client.workflow.getHandle(id, recovery).describe()
    const { firstRunId } = raw.workflowExecutionInfo ?? {}
    const isIt = recovery !== undefined || !firstRunId || firstRunId === run.firstRunId
    if (status.name === 'RUNNING' && isIt) {
      const why =
        (raw.pendingWorkflowTask?.attempt ?? 0) > FAILED_TASKS ? await taskFailure(client, id, runId) : undefined
      return why === undefined ? { as: 'carried' } : { as: 'stuck', why: `its workflow cannot go on: ${why}` }
    }
    if (isIt)
      return { as: 'gone', why: `its workflow is ${status.name.toLowerCase()} in Temporal, and the run has not ended` }
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error
  }
  // A Temporal that does not say which one it is could be any.
  const isSame = run.engine === engine && !engine.startsWith('/')
  if (isSame) return { as: 'gone', why: 'Temporal does not know its workflow any more' }
  const text = `it was started on another Temporal than this worker's: if that one is gone, headgate recover ${run.name}`
  return { as: 'unknown', why: text }
}
