import type { Client } from 'pg'
import { failure, messageOf } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { closeDatabase, endSessions } from './gate.js'
import { quoteIdentifier, sqlState, whileAllowed } from './session.js'

/** Clones and databases being restored: the only ones ever dropped. A quarantine holds acknowledged writes. */
const DROPPABLE = /__[cr]_\d{12}_[0-9a-f]{4}$/
/** SQLSTATE insufficient_privilege. */
const NO_RIGHTS = '42501'
const END_WITHIN_MS = 10_000
/** `datconnlimit` of a database whose DROP was interrupted: it can only be dropped. */
const HALF_DROPPED = -2

/**
 * Copies `source`, closed and empty of sessions, to the new database `clone`, closed from its first moment. A clone loses
 * owner, ACL, settings, comment and limit: see `database-properties.ts`. Throws `RightsMissing`, `BackupFailed`; when the
 * fence is lost the connection is cut, and the server removes the half-made copy.
 */
export async function cloneDatabase(control: Client, source: string, clone: string, fence: Fence): Promise<void> {
  const { rows } = await control.query<{ version: number; method: string | null }>(
    `select current_setting('server_version_num')::int as version, current_setting('file_copy_method', true) as method`,
  )
  // O(1) on file systems with reflinks; elsewhere the server copies as before.
  if (rows[0]?.method) await control.query(`set file_copy_method = 'clone'`)
  // The default strategy writes the whole database to the WAL.
  const strategy = (rows[0]?.version ?? 0) >= 150_000 ? ' strategy = file_copy' : ''
  const sql = `create database ${quoteIdentifier(clone)} template ${quoteIdentifier(source)}${strategy} allow_connections false`
  try {
    await fence.check()
    await whileAllowed(control, fence.signal, () => control.query(sql))
  } catch (error) {
    fence.signal.throwIfAborted()
    throw failure(
      sqlState(error) === NO_RIGHTS ? 'RightsMissing' : 'BackupFailed',
      `cannot clone database ${source} to ${clone}: ${messageOf(error)}`,
      error,
    )
  }
}

/** Drops a clone or a restored database, ending who is still in it. A missing one is fine. Refuses every other name. */
export async function dropDatabase(control: Client, name: string, fence: Fence): Promise<void> {
  if (!DROPPABLE.test(name)) throw failure('StateUnexpected', `database ${name} is not one that may be dropped`)
  const { rows } = await control.query<{ datconnlimit: number }>(
    'select datconnlimit from pg_database where datname = $1',
    [name],
  )
  if (!rows[0]) return
  if (rows[0].datconnlimit !== HALF_DROPPED) {
    await closeDatabase(control, name, fence)
    await endSessions(control, name, { withinMs: END_WITHIN_MS }, fence)
  }
  await fence.check()
  await control.query(`drop database if exists ${quoteIdentifier(name)}`)
}
