import type { Client } from 'pg'
import { excerpt } from '../../domain/excerpt.js'
import { messageOf } from '../../domain/failures.js'
import { withDeadline } from '../process/deadline.js'
import { sqlState, whileAllowed, withSession } from '../postgres/session.js'
import type { Check, CheckContext, CheckResult, CheckSetting } from './port.js'

/** Beyond the server's own limit: for a server that does not answer at all. */
const GRACE_MS = 5_000

type Verdict = Pick<CheckResult, 'ok' | 'found'>

/**
 * A check by what `look` finds on a session that only reads, `timeoutMs` at most, ended at the server when the check is told to
 * stop. A database that cannot be asked is a no. Without `withinMs` it is asked once.
 */
export function onDatabase(
  { name, timeoutMs, withinMs = 0 }: { name: string; timeoutMs: number; withinMs?: number },
  { target, applicationName, secrets }: CheckSetting,
  look: (session: Client, context: CheckContext) => Promise<Verdict>,
): Check {
  const options = { applicationName, readOnly: true, statementTimeoutMs: timeoutMs }
  const verdict = async (context: CheckContext, signal: AbortSignal): Promise<Verdict> => {
    const bounded = withDeadline(signal, timeoutMs + GRACE_MS)
    try {
      return await withSession(target, options, async (session) => {
        await context.onSession?.(session)
        return whileAllowed(session, bounded, () => look(session, context))
      })
    } catch (error) {
      signal.throwIfAborted()
      const reason = bounded.aborted ? `no answer within ${timeoutMs + GRACE_MS} ms` : serverSaid(error)
      return { ok: false, found: excerpt(reason, secrets) }
    }
  }
  return {
    name,
    withinMs,
    successes: 1,
    run: async (context, signal) => ({ name, ...(await verdict(context, signal)) }),
  }
}

function serverSaid(error: unknown): string {
  const state = sqlState(error)
  return state === '' ? messageOf(error) : `the server said: ${messageOf(error)} (${state})`
}
