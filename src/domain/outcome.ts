import { z } from 'zod'
import type { Cause } from './failures.js'

/** How a run ended. There is no seventh. */
export const Outcome = z.enum(['succeeded', 'aborted', 'restored', 'rolled-back', 'deferred', 'needs-operator'])
export type Outcome = z.infer<typeof Outcome>

/** Exit codes that do not come from an outcome. */
export const EXIT = {
  done: 0,
  usage: 1,
  pending: 2,
  waiting: 3,
  blocked: 4,
  failed: 5,
  needsOperator: 6,
  person: 7,
  waitOver: 8,
  unreachable: 9,
  viewerLeft: 130,
} as const

/** The exit code of an ended run: one function of outcome and cause. */
export function exitCode(outcome: Outcome, cause: Cause | undefined): number {
  if (outcome === 'needs-operator') return EXIT.needsOperator
  if (outcome === 'succeeded') return EXIT.done
  if (cause === 'guard') return EXIT.blocked
  if (cause === 'person' || outcome === 'deferred') return EXIT.person
  return EXIT.failed
}

/**
 * How a run's workflow closes: `succeeded` and `deferred` complete, and so does what did all that was asked of it (exit 0: a
 * recovery); a person's cancel cancels; all else fails.
 */
export function closesAs(
  { outcome, exit }: { outcome: Outcome; exit: number },
  cancelled: boolean,
): 'completed' | 'cancelled' | 'failed' {
  if (outcome === 'succeeded' || outcome === 'deferred' || exit === EXIT.done) return 'completed'
  return cancelled && outcome !== 'needs-operator' ? 'cancelled' : 'failed'
}
