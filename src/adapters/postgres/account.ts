import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence, OwnSession } from '../../domain/fence.js'
import { OWN_SESSION } from './activity.js'
import { withSession } from './session.js'
import type { Target } from './target.js'

/** Tells the fence of a session that was opened on the database, and returns it. */
export async function account(fence: Fence, session: Client): Promise<OwnSession> {
  const own = await ownSession(session)
  await fence.recordSession(own)
  await beCounted(session)
  return own
}

/** Opens a session of the attempt's own on the database, tells the fence of it, and closes it after `work`. */
export const withOwnSession = <T>(
  target: Target,
  fence: Fence,
  { readOnly = false }: { readOnly?: boolean },
  work: (session: Client, own: OwnSession) => Promise<T>,
): Promise<T> =>
  withSession(target, { applicationName: fence.applicationName, readOnly }, async (session) =>
    work(session, await account(fence, session)),
  )

/** Has the server count this session now, and not when it comes to it. PostgreSQL 15 and newer; before, nothing happens. */
export async function beCounted(session: Client): Promise<void> {
  await session.query('select pg_stat_force_next_flush()').catch(() => {})
}

/** The session itself, as others see it. */
export async function ownSession(session: Client): Promise<OwnSession> {
  const { rows } = await session.query<OwnSession>(`${OWN_SESSION} where pid = pg_backend_pid()`)
  if (!rows[0]) throw failure('StateUnexpected', 'the session does not see itself in pg_stat_activity')
  return rows[0]
}
