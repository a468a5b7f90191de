import type { NotifierConfiguration } from '../../domain/configuration.js'
import type { Notifier, NotifierContext } from './port.js'
import { answering, post } from './post.js'
import { sayable } from './sayable.js'

/** POSTs the notice as JSON. A receiver that has seen its `Idempotency-Key` before may drop it. */
export function webhook(
  configuration: Extract<NotifierConfiguration, { kind: 'webhook' }>,
  { secrets }: NotifierContext,
): Notifier {
  const { url, headers } = configuration
  const what = `webhook ${new URL(url).origin}`
  return {
    async send(notice, signal) {
      const key = `${notice.run}-${notice.sequence}`
      const json = sayable(notice, secrets)
      const request = { url, headers: { ...headers, 'Idempotency-Key': key }, json, secrets }
      const { status } = await post(what, request, signal)
      if (status < 200 || status > 299) throw new Error(`${what}: HTTP ${status}`)
    },
    reach: (signal) => answering(what, url, signal),
  }
}
