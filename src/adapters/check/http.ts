import { randomBytes } from 'node:crypto'
import type { HttpCheck } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { messageOf } from '../../domain/failures.js'
import { ask, type HttpAnswer, HttpUnanswered, whereOf } from '../http/ask.js'
import { judgeValue, valueAt } from './answer.js'
import { filled, unknownIn } from './placeholders.js'
import type { Check, CheckContext, CheckSetting } from './port.js'

/** How long one try may take. */
const TRY_MS = 10_000
const HEADER = 'X-Correlation-ID'
const KEY = 'Idempotency-Key'

type Verdict = { ok: boolean; found: string }

/**
 * A smoke test: one request, the status and the value it must bring, and on demand our own correlation id in the answer. With
 * `twice` it is sent once more, the same, and what came of both is asked for by that id.
 */
export function http(configuration: HttpCheck, { secrets }: CheckSetting, position: number): Check {
  const { http: url, method, headers, body, within, correlation, twice } = configuration
  const name = configuration.name ?? `${method} ${whereOf(url)}`
  const timeoutMs = Math.min(within, TRY_MS)
  return {
    name,
    withinMs: within,
    successes: configuration.successes,
    ...(method === 'GET' && twice === undefined ? {} : { onlyInRun: 'it sends something' }),
    async run(context, signal) {
      const missing = unknownIn([url, configuration.expect, twice?.url], context)
      if (missing !== undefined) return { name, ok: false, found: missing }
      // Of this very try: what a service has kept of an earlier one proves nothing.
      const id = `${context.run}-smoke-${position + 1}-${randomBytes(3).toString('hex')}`
      const marks = { ...(correlation || twice ? { [HEADER]: id } : {}), ...(twice ? { [KEY]: id } : {}) }
      const request = {
        ...{ method, url: filled(url, context), headers: { ...headers, ...marks }, json: body, timeoutMs, secrets },
      }
      try {
        const verdict = judge(await ask(request, signal), configuration, context, correlation ? id : undefined, secrets)
        if (!verdict.ok || twice === undefined) return { name, ...verdict }
        const again = judge(await ask(request, signal), configuration, context, undefined, secrets)
        if (!again.ok) return { name, ok: false, found: `the second time: ${again.found}` }
        const asked = filled(twice.url, context).replaceAll('{correlation}', encodeURIComponent(id))
        const effect = await ask(
          { method: 'GET', url: asked, headers: { ...headers, [HEADER]: id }, timeoutMs, secrets },
          signal,
        )
        return { name, ...effectOf(effect, twice, secrets) }
      } catch (error) {
        if (!(error instanceof HttpUnanswered)) throw error
        return { name, ok: false, found: excerpt(error.message, secrets) }
      }
    },
  }
}

/** An old answer out of a cache holds another id, or none: that is what the id is for. */
function judge(
  answer: HttpAnswer,
  { expectStatus, json, expect, min, max }: HttpCheck,
  context: CheckContext,
  id: string | undefined,
  secrets: readonly string[],
): Verdict {
  const { status, shown, headers, body } = answer
  if (status !== expectStatus) return { ok: false, found: `expected HTTP ${expectStatus}, got ${shown}` }
  if (id !== undefined && headers.get(HEADER) !== id && !body.includes(id))
    return { ok: false, found: `HTTP ${status}, correlation id ${id} did not come back` }
  const isBack = id === undefined ? '' : `, correlation id ${id} came back`
  if (json === undefined) return { ok: true, found: `HTTP ${status}${isBack}` }
  const wanted = typeof expect === 'string' ? filled(expect, context) : expect
  const verdict = valueVerdict(json, body, { expect: wanted, min, max }, secrets)
  return { ...verdict, found: `HTTP ${status}${isBack}, ${json}: ${verdict.found}` }
}

/** Sent twice, it has had one effect. */
function effectOf(
  { status, shown, body }: HttpAnswer,
  { json }: NonNullable<HttpCheck['twice']>,
  secrets: readonly string[],
): Verdict {
  if (status !== 200) return { ok: false, found: `sent twice; what came of it is not told: ${shown}` }
  const verdict = valueVerdict(json, body, { expect: 1 }, secrets)
  return { ...verdict, found: `sent twice, ${json}: ${verdict.found}` }
}

function valueVerdict(
  path: string,
  body: string,
  expectation: Parameters<typeof judgeValue>[1],
  secrets: readonly string[],
): Verdict {
  try {
    return judgeValue(valueAt(path, body), expectation, secrets)
  } catch (error) {
    return { ok: false, found: excerpt(messageOf(error), secrets) }
  }
}
