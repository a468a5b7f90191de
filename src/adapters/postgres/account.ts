import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence, OwnSession } from '../../domain/fence.js'
import { OWN_SESSION } from './activity.js'

/** Tells the fence of a session that was opened on the database, and returns it. */
export async function account(fence: Fence, session: Client): Promise<OwnSession> {
  const own = await ownSession(session)
  await fence.recordSession(own)
  return own
}

/** The session itself, as others see it. */
export async function ownSession(session: Client): Promise<OwnSession> {
  const { rows } = await session.query<OwnSession>(`${OWN_SESSION} where pid = pg_backend_pid()`)
  if (!rows[0]) throw failure('StateUnexpected', 'the session does not see itself in pg_stat_activity')
  return rows[0]
}
