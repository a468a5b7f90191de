import { setTimeout } from 'node:timers/promises'
import { failedWith, failure, messageOf } from '../../domain/failures.js'
import { withDeadline } from '../process/deadline.js'
import type { Autodeploy, AutodeployState } from './port.js'

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 5_000

export interface HoldProof {
  signal: AbortSignal
  /** Each answer as it comes. Must not throw. */
  onSample: (state: AutodeployState) => void
}

/**
 * Waits until it says that it is held and, where it `waits`, that nothing of it is under way. Changes nothing. Throws
 * `AutodeployNotHeld` with what was last seen, `ToolMissing`, or the signal's reason.
 */
export async function proveHeld(autodeploy: Autodeploy, { signal, onSample }: HoldProof): Promise<AutodeployState> {
  const { name, withinMs, waits } = autodeploy
  const bounded = withDeadline(signal, withinMs)
  let seen = 'no answer'
  for (let wait = FIRST_WAIT_MS; !bounded.aborted; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      const now = await autodeploy.state(bounded)
      seen = `${now.state}, ${now.running} under way`
      onSample(now)
      if (now.state === 'held' && (now.running === 0 || !waits)) return now
    } catch (error) {
      if (failedWith(error, 'ToolMissing')) throw error
      if (!bounded.aborted) seen = messageOf(error)
    }
    await setTimeout(wait, undefined, { signal: bounded }).catch(() => {})
  }
  signal.throwIfAborted()
  throw failure('AutodeployNotHeld', `${name} is not held after ${withinMs} ms: ${seen}`, undefined, {
    hint: 'wait for what it deploys; where that is what started this run, write running: ignore',
  })
}
