import { setTimeout } from 'node:timers/promises'
import { excerpt } from '../../domain/excerpt.js'
import { messageOf } from '../../domain/failures.js'
import { withDeadline } from '../process/deadline.js'
import type { Notice, Notifier } from './port.js'

type Tells = Pick<Notifier, 'send'>

/** For one try. A notifier that does not keep to it is left behind. */
const TRY_MS = 6_000
/** Before the second try and the third. */
const WAITS_MS = [200, 1_000]

/**
 * Tells everybody at once, each with three tries. Never throws and never lasts longer than three tries: returns what
 * failed, in words, one text for each notifier that could not be told. May be called again with the same notice.
 */
export async function notifyAll(notifiers: readonly Tells[], notice: Notice, signal: AbortSignal): Promise<string[]> {
  const failed = await Promise.all(notifiers.map((notifier) => tell(notifier, notice, signal)))
  return failed.filter((text) => text !== undefined)
}

async function tell(notifier: Tells, notice: Notice, signal: AbortSignal): Promise<string | undefined> {
  for (let tried = 0; ; tried++) {
    if (signal.aborted) return 'not told: the step was ended'
    const error = await tryOnce(notifier, tried === 0 ? notice : { ...notice, repeat: true }, signal)
    if (error === undefined) return undefined
    const wait = WAITS_MS[tried]
    if (wait === undefined) return excerpt(error)
    await setTimeout(wait, undefined, { signal }).catch(() => {})
  }
}

async function tryOnce(notifier: Tells, notice: Notice, signal: AbortSignal): Promise<string | undefined> {
  const done = new AbortController()
  const late = setTimeout(TRY_MS, `no end within ${TRY_MS} ms`, { signal: AbortSignal.any([signal, done.signal]) })
  const sent = (async () => notifier.send(notice, withDeadline(signal, TRY_MS)))()
  return Promise.race([
    sent.then(() => undefined, messageOf),
    late.catch(() => 'not told: the step was ended'),
  ]).finally(() => done.abort())
}
