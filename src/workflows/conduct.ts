import { ApplicationFailure, CancellationScope, CancelledFailure, ContinueAsNew } from '@temporalio/workflow'
import { z } from 'zod'
import { failure } from '../domain/failures.js'
import { closesAs } from '../domain/outcome.js'
import type { RunKind } from '../domain/plan.js'
import { type Ending, RunInput } from '../domain/run.js'
import { Run } from './run.js'

/** Parse at every boundary: a bare ZodError thrown in a workflow would block it, not fail it. */
function parseInput(input: unknown): RunInput {
  const parsed = RunInput.safeParse(input)
  if (!parsed.success) throw failure('InputInvalid', z.prettifyError(parsed.error))
  return parsed.data
}

/**
 * Runs a runbook to its outcome. The body is shielded: a cancellation is a message to the run, which decides by its
 * position what it means, never an exception that tears through it.
 */
export async function conduct(kind: RunKind, input: unknown, runbook: (run: Run) => Promise<void>): Promise<Ending> {
  const run = new Run(kind, parseInput(input))
  const ending = await CancellationScope.nonCancellable(async () => {
    try {
      await runbook(run)
    } catch (error) {
      if (error instanceof ContinueAsNew) throw error
      return run.failed(error)
    }
    return run.succeeded()
  })
  return close(ending, run.cancelledBy)
}

/** Completed, cancelled or failed: what the list in the Temporal UI shows. */
async function close(ending: Ending, cancelledBy: string | undefined): Promise<Ending> {
  const { outcome, reason } = ending
  switch (closesAs(ending, cancelledBy !== undefined && ending.cause === 'person')) {
    case 'completed':
      return ending
    case 'cancelled':
      // The journal's last step asked the server to cancel this execution: only then does it close as cancelled.
      await CancellationScope.current().cancelRequested.catch(() => {})
      throw new CancelledFailure(`${outcome}: ${reason}`, [ending])
    case 'failed':
      throw ApplicationFailure.create({ type: outcome, message: reason, nonRetryable: true, details: [ending] })
  }
}
