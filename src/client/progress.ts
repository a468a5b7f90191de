import type { WorkflowHandle } from '@temporalio/client'
import type { Engine } from './connection.js'
import { messageOf } from '../domain/failures.js'
import { messageIn, valueIn } from './decoding.js'

/** What the step that runs now says of itself. */
export interface Progress {
  /** The running activity's own words; empty when it has said nothing. */
  text: string
  /** 1 for the first. */
  attempt: number
  /** Why the attempt before failed. */
  lastFailure?: string
}

const ANSWER_MS = 3_000

/** Asks the server, not the worker: it answers while a step is in the engine's back-off, or its worker is gone. */
export async function progressOf({ client }: Engine, handle: WorkflowHandle): Promise<Progress | undefined> {
  const described = await client.withDeadline(Date.now() + ANSWER_MS, () => handle.describe()).catch(() => undefined)
  const [activity] = described?.raw.pendingActivities ?? []
  if (!activity) return undefined
  const [payload] = activity.heartbeatDetails?.payloads ?? []
  // Whoever follows a run does not stop because of what cannot be read of it.
  const details = await valueIn(client, payload).catch(() => undefined)
  const lastFailure = activity.lastFailure?.timeoutFailureInfo
    ? 'its worker gave no sign of life'
    : await messageIn(client, activity.lastFailure).catch(messageOf)
  return {
    text: textOf(details),
    attempt: activity.attempt ?? 1,
    ...(lastFailure ? { lastFailure } : {}),
  }
}

const textOf = (details: unknown): string =>
  typeof details === 'object' && details !== null && 'text' in details && typeof details.text === 'string'
    ? details.text
    : ''
