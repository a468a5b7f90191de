import { ask, type HttpAnswer } from '../http/ask.js'
import { reach } from '../http/reach.js'

const WITHIN_MS = 5_000

/** POSTs JSON to a webhook, which is named `what`: its path is its password, and is not shown. Throws where no answer comes. */
export function post(
  what: string,
  request: { url: string; headers: Readonly<Record<string, string>>; json: unknown; secrets: readonly string[] },
  signal: AbortSignal,
): Promise<HttpAnswer> {
  return ask({ method: 'POST', timeoutMs: WITHIN_MS, ...request }, signal).catch((error: unknown) => {
    signal.throwIfAborted()
    throw new Error(`${what}: ${error instanceof Error ? error.message : 'failed'}`)
  })
}

/** Whether somebody listens at a webhook. It is not asked anything: only a notice shows whether it takes notices. */
export async function answering(what: string, url: string, signal: AbortSignal): Promise<string> {
  await reach(what, url, WITHIN_MS, signal)
  return `${what} answers; whether it takes a notice is seen when one is sent`
}
