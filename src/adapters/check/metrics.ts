import { z } from 'zod'
import type { MetricsCheck } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { startedAtOf } from '../../domain/names.js'
import { jsonIn } from '../../domain/text.js'
import { ask, HttpUnanswered, whereOf } from '../http/ask.js'
import { judgeValue } from './answer.js'
import { filled, unknownIn } from './placeholders.js'
import type { Check, CheckContext, CheckSetting } from './port.js'

const TRY_MS = 10_000

/** The answer of `/api/v1/query`: prometheus.io/docs/prometheus/latest/querying/api. A sample is `[time, "value"]`. */
const Sample = z.tuple([z.number(), z.string()])
const Answer = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('success'),
    data: z.discriminatedUnion('resultType', [
      z.object({ resultType: z.literal('vector'), result: z.array(z.object({ value: Sample })) }),
      z.object({ resultType: z.literal('scalar'), result: Sample }),
    ]),
  }),
  z.object({ status: z.literal('error'), error: z.string() }),
])

/**
 * A query of Prometheus: its value now, alone or beside the value when the run began, which Prometheus itself still has. The
 * first sample counts.
 */
export function metrics(configuration: MetricsCheck, { secrets }: CheckSetting): Check {
  const { metrics: url, query, within, headers, unlikeBefore, min, max, expect } = configuration
  const name = configuration.name ?? `metrics ${query}`
  const sampled = async (
    context: CheckContext,
    at: Date | undefined,
    signal: AbortSignal,
  ): Promise<number | undefined> => {
    const asked = new URL(`${url.replace(/\/$/, '')}/api/v1/query`)
    asked.searchParams.set('query', filled(query, context))
    if (at) asked.searchParams.set('time', String(at.getTime() / 1000))
    const answer = await ask(
      { method: 'GET', url: asked.href, headers, timeoutMs: Math.min(within, TRY_MS), secrets },
      signal,
    )
    const parsed = Answer.safeParse(jsonIn(answer.body))
    if (!parsed.success) throw new HttpUnanswered(`${whereOf(asked.href)}: ${answer.shown}, no answer of Prometheus`)
    if (parsed.data.status === 'error') throw new HttpUnanswered(`Prometheus says ${parsed.data.error}`)
    const { data } = parsed.data
    const sample = data.resultType === 'vector' ? data.result[0]?.value : data.result
    return sample === undefined ? undefined : Number(sample[1])
  }
  return {
    name,
    withinMs: within,
    successes: configuration.successes,
    async run(context, signal) {
      const missing = unknownIn([query], context)
      if (missing !== undefined) return { name, ok: false, found: missing }
      try {
        const now = await sampled(context, undefined, signal)
        const limits = judgeValue(now, { expect, min, max }, secrets)
        if (!limits.ok || unlikeBefore === undefined) return { name, ...limits }
        const before = await sampled(context, startedAtOf(context.run), signal)
        return { name, ...unlike(now ?? 0, before, unlikeBefore) }
      } catch (error) {
        if (!(error instanceof HttpUnanswered)) throw error
        return { name, ok: false, found: excerpt(error.message, secrets) }
      }
    },
  }
}

function unlike(now: number, before: number | undefined, { times, plus }: { times: number; plus: number }) {
  if (before === undefined) return { ok: false, found: `${now}, and no value from before the run to compare it with` }
  const most = before * times + plus
  const ok = now <= most
  return { ok, found: `${now}, ${before} when the run began${ok ? '' : `: more than ${most}`}` }
}
