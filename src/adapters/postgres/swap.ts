import type { Client } from 'pg'
import { failedWith, failure, messageOf } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { exactProperties } from './database-properties.js'
import { closeDatabase, endSessions } from './gate.js'
import { quoteIdentifier, sqlState } from './session.js'

/** Names and oids before the swap. The oids tell afterwards on which side of it the world is. */
export interface Swap {
  /** The name users connect to. */
  live: string
  /** The database that takes the name: a clone, or one restored beside. */
  replacement: string
  /** The name the written database is kept under. */
  quarantine: string
  liveOid: string
  replacementOid: string
}

/** SQLSTATE object_in_use: a session sneaked in between ending them and the rename. */
const OBJECT_IN_USE = '55006'
/** SQLSTATE lock_not_available: somebody connects, or a vacuum of the shared catalogs is at it. */
const LOCK_NOT_AVAILABLE = '55P03'
/** SQLSTATE insufficient_privilege: a property needs more than owning the database. */
const NO_RIGHTS = '42501'
const TRIES = 5
const END_WITHIN_MS = 10_000

/** The oid of a database by name, or undefined. */
export async function databaseOid(control: Client, name: string): Promise<string | undefined> {
  const { rows } = await control.query<{ oid: string }>('select oid::text as oid from pg_database where datname = $1', [
    name,
  ])
  return rows[0]?.oid
}

/** Tells by oid on which side of the swap the world is. Throws `StateUnexpected` with what it saw when on neither. */
export async function observeSwap(control: Client, swap: Swap): Promise<'before' | 'after'> {
  const { rows } = await control.query<{ name: string; oid: string }>(
    'select datname::text as name, oid::text as oid from pg_database where datname = any($1) order by 1',
    [[swap.live, swap.replacement, swap.quarantine]],
  )
  const oids = new Map(rows.map(({ name, oid }) => [name, oid]))
  const [live, replacement, quarantine] = [swap.live, swap.replacement, swap.quarantine].map((name) => oids.get(name))
  if (live === swap.liveOid && replacement === swap.replacementOid && quarantine === undefined) return 'before'
  if (live === swap.replacementOid && replacement === undefined && quarantine === swap.liveOid) return 'after'
  throw failure(
    'StateUnexpected',
    `the databases of the swap of ${swap.live} are not where either side has them`,
    undefined,
    {
      evidence: `seen: ${rows.map(({ name, oid }) => `${name} = ${oid}`).join(', ')}; expected ${swap.live} = ${swap.liveOid}, ${swap.replacement} = ${swap.replacementOid}`,
    },
  )
}

/**
 * Puts `replacement` in the place of `live`, with exactly `properties` (see `database-properties.ts`), and keeps the old
 * one, closed, as `quarantine`: in one transaction, so that a death at any moment leaves before or after. Twice is once.
 * From a session in another database. Closes `live` first, and leaves it closed when it throws: the caller reopens or
 * finishes. Throws `RestoreForbidden` where slots, subscriptions or prepared transactions would follow the old database,
 * `WritersNotQuiet`, `RightsMissing`, `RestoreFailed`.
 */
export async function swapDatabases(
  control: Client,
  swap: Swap & { properties: readonly string[] },
  fence: Fence,
  prove: Prove = async () => {},
): Promise<void> {
  if ((await observeSwap(control, swap)) === 'after') return
  await refuseWhatFollows(control, swap.live)
  for (let attempt = 1; ; attempt++) {
    for (const database of [swap.live, swap.replacement]) {
      await closeDatabase(control, database, fence)
      await endSessions(control, database, { withinMs: END_WITHIN_MS }, fence)
      // Again: only now can nobody make one any more.
      await refuseWhatFollows(control, database)
    }
    try {
      return await exchange(control, swap, fence, prove)
    } catch (error) {
      if (failedWith(error, 'NeedsOperator')) throw error
      const isPassing = [OBJECT_IN_USE, LOCK_NOT_AVAILABLE].includes(sqlState(error))
      if (isPassing && attempt < TRIES && !fence.signal.aborted) continue
      const code = sqlState(error) === NO_RIGHTS ? 'RightsMissing' : 'RestoreFailed'
      throw failure(code, `cannot swap database ${swap.live}: ${messageOf(error)}`, error)
    }
  }
}

/** Asked once the old database has its new name, and nobody can come into it: what it throws keeps everything as it was. */
export type Prove = (quarantine: string) => Promise<void>

async function exchange(
  control: Client,
  swap: Swap & { properties: readonly string[] },
  fence: Fence,
  prove: Prove,
): Promise<void> {
  const [live, replacement, quarantine] = [swap.live, swap.replacement, swap.quarantine].map(quoteIdentifier)
  const properties = await exactProperties(control, swap.properties, swap.replacement, swap.live)
  try {
    const run = async (sql: string): Promise<void> => {
      await fence.check()
      await control.query(sql)
    }
    await run('begin')
    await run(`alter database ${live} rename to ${quarantine}`)
    await prove(swap.quarantine)
    for (const sql of [
      `alter database ${replacement} rename to ${live}`,
      ...properties,
      `alter database ${quarantine} allow_connections false`,
      `alter database ${live} allow_connections true`,
      'commit',
    ])
      await run(sql)
  } catch (error) {
    await control.query('rollback').catch(() => {})
    throw error
  }
}

/** These follow the oid, silently: a slot would then stream the quarantine. */
async function refuseWhatFollows(control: Client, database: string): Promise<void> {
  const { rows } = await control.query<{ what: string }>(
    `select 'logical replication slot ' || slot_name as what from pg_replication_slots where database = $1
     union all
     select 'subscription ' || subname from pg_subscription join pg_database d on d.oid = subdbid where datname = $1
     union all
     select 'prepared transaction ' || gid from pg_prepared_xacts where database = $1`,
    [database],
  )
  if (rows.length === 0) return
  throw failure(
    'RestoreForbidden',
    `database ${database} cannot be swapped: ${rows.map(({ what }) => what).join(', ')}`,
  )
}
