import type { Client } from '@temporalio/client'
import { messageOf } from '../domain/failures.js'
import { messageIn } from './decoding.js'

/** A task that failed this often will not succeed by itself. */
export const FAILED_TASKS = 2

/** What the SDK says where the code is not the one that wrote the history. */
const OTHER_CODE = '[TMPRL1100]'

/** Why the newest workflow task failed; undefined where it only timed out: a worker that died takes its task with it. */
export async function taskFailure(client: Client, workflowId: string, runId: string): Promise<string | undefined> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 50,
  })
  // Messages and outcomes of activities may have come since.
  for (const event of history?.events ?? []) {
    if (event.workflowTaskCompletedEventAttributes || event.workflowTaskTimedOutEventAttributes) return undefined
    const { workflowTaskFailedEventAttributes: failed } = event
    if (!failed) continue
    const why = (await messageIn(client, failed.failure).catch(messageOf)) ?? 'no reason is given'
    return why.includes(OTHER_CODE)
      ? `the worker's release is not one that can go on with it, start one of the release that began it: ${why}`
      : why
  }
  return undefined
}
