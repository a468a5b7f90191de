import type { Client } from '@temporalio/client'

/** Has the server begin the workflow's newest execution anew, as the UI's *Reset* does. */
export async function resetToFirstTask(client: Client, workflowId: string): Promise<void> {
  const { workflowService, options } = client
  const handle = client.workflow.getHandle(workflowId)
  const { runId } = await handle.describe()
  const { events } = await handle.fetchHistory()
  const first = events?.find(({ workflowTaskCompletedEventAttributes: completed }) => completed)?.eventId
  if (!first) return
  await workflowService.resetWorkflowExecution({
    namespace: options.namespace,
    workflowExecution: { workflowId, runId },
    reason: 'a person tried something',
    requestId: `${Date.now()}-${Math.random()}`,
    workflowTaskFinishEventId: first,
  })
}
