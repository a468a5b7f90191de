import { FAILURES, knownFailure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'

const UNREACHABLE = new Set(['TemporalUnreachable', 'WorkerMissing'])

/** The exit code of a command that failed before or without a run; an ended run has its own. */
export function exitOfError(error: unknown): number {
  const code = knownFailure(error)?.code ?? 'Unexpected'
  if (UNREACHABLE.has(code)) return EXIT.unreachable
  if (code === 'NeedsOperator') return EXIT.needsOperator
  const { cause } = FAILURES[code]
  if (cause === 'guard') return EXIT.blocked
  return cause === 'person' ? EXIT.person : EXIT.usage
}
