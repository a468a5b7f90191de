import { CancelledFailure, Context } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import { failure, knownFailure } from '../domain/failures.js'
import { carrierOf } from '../domain/names.js'
import { redact, tail } from '../domain/text.js'

/** How often an attempt says that it lives. The server hears of it at most each 0.8 of the heartbeat timeout. */
const BEAT_MS = 500
/** An error's evidence is kept in the history for ever: it stays small. */
const EVIDENCE_BYTES = 8_192

export interface Beat {
  signal: AbortSignal
  attempt: number
  /** The workflow that asked for it, as the journal names who carries a run. */
  carrier: string
  /** Names this very attempt to the server. */
  taskToken: Uint8Array
  progress: (text: string) => void
  /** Whether the attempt was told to stop by a cancel, and not by a worker that shuts down or a timeout. */
  isCancelled: () => boolean
}

/** Heartbeats from a timer while `work` runs: without it nobody hears of a cancel or a death. */
export async function beating<T>(work: (beat: Beat) => Promise<T>): Promise<T> {
  // Captured once: the activity's own functions do not work inside abort listeners and timers.
  const context = Context.current()
  let text = ''
  const timer = setInterval(() => context.heartbeat({ text }), BEAT_MS)
  try {
    return await work({
      signal: context.cancellationSignal,
      attempt: context.info.attempt,
      carrier: carrierOf(executionOf(context)),
      taskToken: context.info.taskToken,
      progress: (line) => {
        text = tail(line, 300)
        context.heartbeat({ text })
      },
      isCancelled: () => context.cancellationDetails?.cancelRequested === true,
    })
  } finally {
    clearInterval(timer)
  }
}

/** The workflow execution an activity belongs to: ours always have one. */
export function executionOf({ info }: Context): { workflowId: string; runId: string } {
  if (!info.workflowExecution) throw failure('InputInvalid', 'this activity belongs to a run')
  return info.workflowExecution
}

/** What crosses the activity's boundary: a known failure or a cancellation, without secrets, small. */
export function safeFailure(error: unknown, secrets: readonly string[]): Error {
  if (error instanceof CancelledFailure) return error
  const known = knownFailure(error)
  const clean = (text: string): string => tail(redact(text, secrets), EVIDENCE_BYTES)
  if (known) {
    const { changed, evidence, hint } = known.detail
    return failure(known.code, clean(known.message), undefined, {
      ...(changed === undefined ? {} : { changed: clean(changed) }),
      ...(evidence === undefined ? {} : { evidence: clean(evidence) }),
      ...(hint === undefined ? {} : { hint: clean(hint) }),
    })
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return ApplicationFailure.create({
    type: 'Unexpected',
    message: clean(message),
    nonRetryable: false,
    details: [{ evidence: clean(error instanceof Error ? (error.stack ?? '') : '') }],
  })
}
