import type { Ready } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { ask, HttpUnanswered } from '../http/ask.js'
import type { Check, CheckSetting } from './port.js'
import { judgeReadiness } from './readiness.js'

export type ReadyCheck = Ready & { service: string }

/** How long one try may take. */
const TRY_MS = 10_000

/** Whether a service is ready, on the schema of the stage. Services cache this for up to a minute: only time makes a no final. */
export function readyz(configuration: ReadyCheck, { secrets }: CheckSetting): Check {
  const { url, within, versionCheck, service } = configuration
  const name = `${service} ready`
  const request = {
    method: 'GET',
    url,
    headers: { accept: 'application/json' },
    timeoutMs: Math.min(within, TRY_MS),
    secrets,
  } as const
  return {
    name,
    withinMs: within,
    successes: 2,
    async run({ expectedVersion, ignoring }, signal) {
      try {
        const answer = await ask(request, signal)
        return { name, ...judgeReadiness(answer, { expectedVersion, ignoring, versionCheck, secrets }) }
      } catch (error) {
        if (!(error instanceof HttpUnanswered)) throw error
        return { name, ok: false, found: excerpt(error.message, secrets) }
      }
    },
  }
}
