import type { WorkflowHandle } from '@temporalio/client'

/** An activity that another attempt took over from one that fell silent. */
export interface Takeover {
  eventId: number
  activity: string
  /** Of the attempt that took over. */
  attempt: number
  /** Why the attempt before it failed, in the server's words. */
  lastFailure: string
}

/** `TIMEOUT_TYPE_HEARTBEAT` of Temporal's API. */
const HEARTBEAT = 4

/** The takeovers in the history of the execution that `handle` names. The server writes one down when its attempt ends. */
export async function takeoversIn(handle: WorkflowHandle): Promise<Takeover[]> {
  const { events } = await handle.fetchHistory()
  const activities = new Map<string, string>()
  const found: Takeover[] = []
  for (const event of events ?? []) {
    const scheduled = event.activityTaskScheduledEventAttributes
    if (scheduled) activities.set(String(event.eventId), scheduled.activityType?.name ?? '')
    const started = event.activityTaskStartedEventAttributes
    if (started?.lastFailure?.timeoutFailureInfo?.timeoutType !== HEARTBEAT) continue
    found.push({
      eventId: Number(event.eventId),
      activity: activities.get(String(started.scheduledEventId)) ?? '',
      attempt: started.attempt ?? 1,
      lastFailure: started.lastFailure.message ?? '',
    })
  }
  return found
}
