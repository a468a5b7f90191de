import type { Client } from 'pg'
import type { Fence } from '../../domain/fence.js'

/** Tells the fence of a session that was opened on the database. */
export async function account(fence: Fence, session: Client): Promise<void> {
  const { rows } = await session.query<{ pid: number; at: string }>(
    'select pid, backend_start::text as at from pg_stat_activity where pid = pg_backend_pid()',
  )
  if (rows[0]) await fence.recordSession(rows[0].pid, rows[0].at)
}
