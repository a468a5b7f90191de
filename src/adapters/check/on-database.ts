import type { Client } from 'pg'
import { excerpt } from '../../domain/excerpt.js'
import { messageOf } from '../../domain/failures.js'
import { withDeadline } from '../process/deadline.js'
import { sqlState, whileAllowed, withSession } from '../postgres/session.js'
import type { CheckContext, CheckResult, CheckSetting } from './port.js'

/** Beyond the server's own limit: for a server that does not answer at all. */
const GRACE_MS = 5_000

type Verdict = Pick<CheckResult, 'ok' | 'found'>

/**
 * What `look` finds on a session that only reads, `timeoutMs` at most, ended at the server when the check is told to stop. A
 * database that cannot be asked is a no. Throws only the signal's reason.
 */
export async function onDatabase(
  { target, applicationName, secrets }: CheckSetting,
  context: CheckContext,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  look: (session: Client) => Promise<Verdict>,
): Promise<Verdict> {
  const bounded = withDeadline(signal, timeoutMs + GRACE_MS)
  const options = { applicationName, readOnly: true, statementTimeoutMs: timeoutMs }
  try {
    return await withSession(target, options, async (session) => {
      await context.onSession?.(session)
      return whileAllowed(session, bounded, () => look(session))
    })
  } catch (error) {
    signal.throwIfAborted()
    const reason = bounded.aborted ? `no answer within ${timeoutMs + GRACE_MS} ms` : serverSaid(error)
    return { ok: false, found: excerpt(reason, secrets) }
  }
}

function serverSaid(error: unknown): string {
  const state = sqlState(error)
  return state === '' ? messageOf(error) : `the server said: ${messageOf(error)} (${state})`
}
