import type { WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client'
import { failure } from '../domain/failures.js'

/** A worker that is gone still counts as one that polls for some minutes: this long nobody may have taken the question up. */
const TAKEN_UP_MS = 10_000
/** Events of a workflow that no worker has seen yet: started, first task scheduled. */
const UNTOUCHED_EVENTS = 2

/** What a short workflow on `queue` answers. One that nobody takes up is ended: throws `WorkerMissing`, and what the worker found wrong. */
export async function answerOf<T>(handle: WorkflowHandle<() => Promise<T>>, queue: string): Promise<T> {
  const waiting = new AbortController()
  try {
    const answer = handle.result().then((value) => ({ value }))
    const first = await Promise.race([answer, neglected(handle, waiting.signal)])
    if (first) return first.value
    answer.catch(() => {})
    await handle.terminate('nobody took it up').catch(() => {})
    throw failure('WorkerMissing', `no worker on ${queue} answered within ${TAKEN_UP_MS / 1_000} s`)
  } finally {
    waiting.abort()
  }
}

/** Resolves when nobody has taken it up, or whoever had is gone before it had begun. Else it never settles. */
function neglected(handle: WorkflowHandle<never>, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = setInterval(async () => {
      const described = await handle.describe().catch(() => undefined)
      if (described && isWaiting(described)) resolve(undefined)
    }, TAKEN_UP_MS)
    signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  })
}

/** A task of the workflow's own that was not taken up, or is over its time, is older than that. */
function isWaiting({ historyLength, raw: { pendingWorkflowTask } }: WorkflowExecutionDescription): boolean {
  if (historyLength <= UNTOUCHED_EVENTS) return true
  const { seconds } = pendingWorkflowTask?.originalScheduledTime ?? {}
  return seconds != null && Date.now() - Number(seconds) * 1_000 > TAKEN_UP_MS
}
