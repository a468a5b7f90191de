import { setTimeout as pause } from 'node:timers/promises'
import { ServiceError, WorkflowFailedError, type WorkflowHandle, WorkflowNotFoundError } from '@temporalio/client'
import { CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common'
import { endingOf } from '../domain/ending.js'
import { failure, knownFailure } from '../domain/failures.js'
import { Ending } from '../domain/run.js'
import { stateOf } from './runs.js'

/** Temporal may be away for a while without the run being lost. */
const AGAIN_MS = 1_000

/**
 * How the run ended, from how its workflow closed: no worker is needed to know it. Waits until it does. `handle` must name
 * an execution; those it continued as are followed. Throws what a run failed with that never began.
 */
export async function endingWhenClosed(
  handle: WorkflowHandle,
  runName: () => string,
  signal: AbortSignal,
): Promise<Ending> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return Ending.parse(await handle.result())
    } catch (error) {
      if (error instanceof WorkflowNotFoundError)
        throw failure('RunUnknown', `Temporal knows no run ${handle.workflowId}`, error)
      // A workflow that closes as cancelled leaves nothing behind to read: the run itself is asked.
      if (error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure) return endingOfRun(handle)
      if (error instanceof WorkflowFailedError) return endingOfFailure(error, runName())
      if (!(error instanceof ServiceError)) throw error
    }
    await pause(AGAIN_MS, undefined, { signal })
  }
}

async function endingOfRun(handle: WorkflowHandle): Promise<Ending> {
  const { ending } = await stateOf(handle)
  if (ending) return ending
  throw failure('RunUnknown', `the workflow ${handle.workflowId} was cancelled before it was a run`)
}

function endingOfFailure(error: WorkflowFailedError, run: string): Ending {
  const { cause } = error
  const [details] = cause && 'details' in cause && Array.isArray(cause.details) ? cause.details : []
  const said = Ending.safeParse(details)
  if (said.success) return said.data
  if (cause instanceof TerminatedFailure || cause instanceof TimeoutFailure) {
    const how = cause instanceof TimeoutFailure ? 'timed out' : 'terminated'
    const reason = `the workflow was ${how} in Temporal: it undid nothing; a worker looks at what is to be done`
    const ending = endingOf({ run, outcome: 'needs-operator', cause: 'fault', reason, paused: false })
    return run === '' ? ending : { ...ending, next: `headgate status ${run}` }
  }
  const known = knownFailure(cause)
  throw known ? failure(known.code, known.message, cause, known.detail) : failure('Unexpected', error.message, cause)
}
