import { setTimeout } from 'node:timers/promises'
import { withDeadline } from '../process/deadline.js'
import type { Check, CheckContext, CheckResult } from './port.js'

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 2_000

export interface CheckProof {
  signal: AbortSignal
  /** Each sample as it comes. Must not throw. */
  onSample?: (result: CheckResult) => void
}

/**
 * Asks until the check was positive as often in a row as it wants to be, or its time is over; a check without time is asked
 * once. Returns the last answer. Throws only the signal's reason.
 */
export async function proveCheck(check: Check, context: CheckContext, proof: CheckProof): Promise<CheckResult> {
  const { signal, onSample } = proof
  if (check.withinMs === 0) return check.run(context, signal)
  const bounded = withDeadline(signal, check.withinMs)
  let last: CheckResult = { name: check.name, ok: false, found: 'no answer' }
  let wait = FIRST_WAIT_MS
  for (let inARow = 0; !bounded.aborted; ) {
    const result = await sampleOf(check, context, bounded)
    if (result) {
      last = result
      onSample?.(result)
      inARow = result.ok ? inARow + 1 : 0
      if (inARow >= check.successes) return result
    }
    wait = last.ok ? FIRST_WAIT_MS : Math.min(2 * wait, LONGEST_WAIT_MS)
    await setTimeout(wait, undefined, { signal: bounded }).catch(() => {})
  }
  signal.throwIfAborted()
  const isLate = last.ok ? ', but not often enough' : ''
  return { ...last, ok: false, found: `${last.found}${isLate} within ${check.withinMs} ms` }
}

/** Undefined when time was over before the answer came. */
async function sampleOf(check: Check, context: CheckContext, bounded: AbortSignal): Promise<CheckResult | undefined> {
  try {
    return await check.run(context, bounded)
  } catch (error) {
    if (bounded.aborted) return undefined
    throw error
  }
}
