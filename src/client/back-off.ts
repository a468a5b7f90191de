import type { WorkflowHandle } from '@temporalio/client'
import type { Engine } from './connection.js'

/** Steps that wait for their next attempt are attempted now; the attempts used so far start to count anew. Returns how many. */
export async function skipBackOff({ client, namespace }: Engine, handle: WorkflowHandle): Promise<number> {
  const { raw, runId } = await handle.describe()
  const now = Date.now()
  const waiting = (raw.pendingActivities ?? []).filter(
    ({ nextAttemptScheduleTime, lastFailure }) =>
      lastFailure && Number(nextAttemptScheduleTime?.seconds ?? 0) * 1_000 + 1_000 > now,
  )
  for (const { activityId } of waiting) {
    await client.workflowService.resetActivity({
      namespace,
      execution: { workflowId: handle.workflowId, runId },
      identity: client.options.identity,
      id: activityId ?? '',
    })
  }
  return waiting.length
}
