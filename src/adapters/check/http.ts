import type { SmokeCheck } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { ask, type HttpAnswer, HttpUnanswered, whereOf } from '../http/ask.js'
import type { Check, CheckSetting } from './port.js'

/** How long one try may take. */
const TRY_MS = 10_000
const HEADER = 'X-Correlation-ID'

/** A smoke test: one request, the status it must bring, and on demand our own correlation id in the answer. */
export function http(configuration: SmokeCheck, { secrets }: CheckSetting, position: number): Check {
  const { http: url, method, headers, body, expectStatus, within, correlation } = configuration
  const name = configuration.name ?? `${method} ${whereOf(url)}`
  return {
    name,
    withinMs: within,
    successes: 1,
    async run({ run }, signal) {
      const id = `${run}-smoke-${position + 1}`
      const sent = correlation ? { ...headers, [HEADER]: id } : headers
      const request = { method, url, headers: sent, json: body, timeoutMs: Math.min(within, TRY_MS), secrets }
      try {
        const answer = await ask(request, signal)
        return { name, ...judge(answer, expectStatus, correlation ? id : undefined) }
      } catch (error) {
        if (!(error instanceof HttpUnanswered)) throw error
        return { name, ok: false, found: excerpt(error.message, secrets) }
      }
    },
  }
}

/** An old answer out of a cache holds another id, or none: that is what the id is for. */
function judge(answer: HttpAnswer, expectStatus: number, id: string | undefined): { ok: boolean; found: string } {
  const { status, shown, headers, body } = answer
  if (status !== expectStatus) return { ok: false, found: `expected HTTP ${expectStatus}, got ${shown}` }
  if (id === undefined) return { ok: true, found: `HTTP ${status}` }
  const isBack = headers.get(HEADER) === id || body.includes(id)
  const verdict = isBack ? 'came back' : 'did not come back'
  return { ok: isBack, found: `HTTP ${status}, correlation id ${id} ${verdict}` }
}
