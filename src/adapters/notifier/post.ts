import { ask, type HttpAnswer } from '../http/ask.js'

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
