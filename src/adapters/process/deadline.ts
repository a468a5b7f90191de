/** The longest a timer of Node can be. */
const LONGEST_MS = 2_147_483_647

/**
 * A signal that aborts as `signal` does, or with a `TimeoutError` after `ms`. It keeps no process alive.
 *
 * Not `AbortSignal.any([signal, AbortSignal.timeout(ms)])`: nothing holds the second one, so that it goes with the next
 * garbage collection and the time is never over (https://github.com/nodejs/node/issues/57736).
 */
export function withDeadline(signal: AbortSignal, ms: number): AbortSignal {
  const late = new AbortController()
  const over = (): void => late.abort(new DOMException(`not done within ${ms} ms`, 'TimeoutError'))
  setTimeout(over, Math.min(ms, LONGEST_MS)).unref()
  const bounded = AbortSignal.any([signal, late.signal])
  // Newer versions of Node forget an abort that nobody listens to (https://github.com/nodejs/node/issues/65995).
  bounded.addEventListener('abort', () => {}, { once: true })
  return bounded
}
