import { type FailureCode, failure, knownFailure } from '../../domain/failures.js'

/** Known failures and the fence's own reason as they are; everything else as `code` with the server's words. */
export function asFailure(code: FailureCode, what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (knownFailure(error)) return error
  return failure(code, `${what}: ${error instanceof Error ? error.message : String(error)}`, error)
}
