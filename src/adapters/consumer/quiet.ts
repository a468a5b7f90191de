import { setTimeout } from 'node:timers/promises'
import { failedWith, failure, messageOf } from '../../domain/failures.js'
import { withDeadline } from '../process/deadline.js'
import type { Consumer, ConsumerState } from './port.js'
import { describeState } from './state.js'

export interface Proof {
  /** How long the proof may take. */
  withinMs: number
  signal: AbortSignal
  /** Each answer as it comes. Must not throw. */
  onSample?: (state: ConsumerState) => void
}

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 1_000
/** Between the two samples that prove quiet, where there is time: who works slowly does nothing for a moment, too. */
const QUIET_MS = 500

/**
 * Waits until two samples in a row say `paused` with nothing in flight, and nothing was processed between them. Changes
 * nothing; returns the second sample. Throws `ConsumerNotQuiet` with what was last seen, `ToolMissing`, or the signal's
 * reason.
 */
export async function proveQuiet(consumer: Consumer, proof: Proof): Promise<ConsumerState> {
  const apart = Math.min(QUIET_MS, proof.withinMs / 4)
  const { state, seen } = await sampleUntil(consumer, proof, isQuiet, (now) => (isQuiet(now, now) ? apart : 0))
  if (state) return state
  throw failure('ConsumerNotQuiet', `consumer ${consumer.name} is not quiet after ${proof.withinMs} ms: ${seen}`)
}

export interface MovingProof extends Proof {
  /** Somebody was in its group before it was paused: a lag of nothing proves nothing before somebody is in it again. */
  hadMembers?: boolean
}

/**
 * Waits until two samples in a row say `running` and, where the consumer tells how far it is, show that it gets on. Changes
 * nothing; returns the second sample. Throws `ConsumerNotMoving` with what was last seen, `ToolMissing`, or the signal's
 * reason.
 */
export async function proveMoving(consumer: Consumer, proof: MovingProof): Promise<ConsumerState> {
  const { maxLag } = consumer
  const isCaughtUp: Holds = (_, { lag }) => maxLag === undefined || lag === undefined || lag <= maxLag
  const hasJoined: Holds = (_, { members }) => proof.hadMembers !== true || members !== 0
  const { state, seen } = await sampleUntil(consumer, proof, (before, now) =>
    [isMoving, isCaughtUp, hasJoined].every((holds) => holds(before, now)),
  )
  if (state) return state
  const limit = maxLag === undefined ? '' : ` (maxLag is ${maxLag})`
  throw failure(
    'ConsumerNotMoving',
    `consumer ${consumer.name} is not moving after ${proof.withinMs} ms: ${seen}${limit}`,
  )
}

type Holds = (before: ConsumerState, now: ConsumerState) => boolean

const isQuiet: Holds = (before, now) =>
  [before, now].every(({ state, inFlight }) => state === 'paused' && inFlight === 0) &&
  before.processed === now.processed

/** Without a lag, a consumer that has nothing in flight and a consumer that has nothing to do look the same: it is believed. */
const isMoving: Holds = (before, now) => {
  if (before.state !== 'running' || now.state !== 'running') return false
  const grew = before.processed !== undefined && now.processed !== undefined && now.processed > before.processed
  const fell = before.lag !== undefined && now.lag !== undefined && now.lag < before.lag
  if (grew || fell || now.lag === 0) return true
  if (now.lag !== undefined) return false
  return now.processed === undefined || (before.inFlight === 0 && now.inFlight === 0)
}

/** An answer that does not come or has the wrong form is a sample that proves nothing: it may be better the next time. */
async function sampleUntil(
  consumer: Consumer,
  { withinMs, signal, onSample }: Proof,
  holds: Holds,
  /** At least so long after a sample until the next. */
  waitAfter: (now: ConsumerState) => number = () => 0,
): Promise<{ state?: ConsumerState; seen: string }> {
  const bounded = withDeadline(signal, withinMs)
  let before: ConsumerState | undefined
  let seen = 'no answer'
  for (let wait = FIRST_WAIT_MS; !bounded.aborted; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    let least = 0
    try {
      const now = await consumer.state(bounded)
      seen = describeState(now)
      onSample?.(now)
      if (before && holds(before, now)) return { state: now, seen }
      before = now
      least = waitAfter(now)
    } catch (error) {
      if (failedWith(error, 'ToolMissing')) throw error
      seen = bounded.aborted ? `${seen}, then no answer` : messageOf(error)
      before = undefined
    }
    await setTimeout(Math.max(wait, least), undefined, { signal: bounded }).catch(() => {})
  }
  signal.throwIfAborted()
  return { seen }
}
