import type { NotifierConfiguration } from '../../domain/configuration.js'
import { ask } from '../http/ask.js'
import type { Notifier, NotifierContext } from './port.js'
import { sayable } from './sayable.js'

const WITHIN_MS = 5_000

/** POSTs the notice as JSON. A receiver that has seen its `Idempotency-Key` before may drop it. */
export function webhook(
  configuration: Extract<NotifierConfiguration, { kind: 'webhook' }>,
  { secrets }: NotifierContext,
): Notifier {
  const { url, headers } = configuration
  // The path of a webhook is its password: it is not shown.
  const what = `webhook ${new URL(url).origin}`
  return {
    async send(notice, signal) {
      const key = `${notice.run}-${notice.sequence}`
      const request = {
        method: 'POST',
        url,
        headers: { ...headers, 'Idempotency-Key': key },
        json: sayable(notice, secrets),
        timeoutMs: WITHIN_MS,
        secrets,
      } as const
      const { status } = await ask(request, signal).catch((error: unknown) => {
        signal.throwIfAborted()
        throw new Error(`${what}: ${error instanceof Error ? error.message : 'failed'}`)
      })
      if (status < 200 || status > 299) throw new Error(`${what}: HTTP ${status}`)
    },
  }
}
