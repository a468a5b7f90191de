import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { parseApplicationName } from '../../domain/names.js'
import { inUtc } from './activity.js'
import { quoteIdentifier } from './session.js'

/** One session of the cluster, as `pg_stat_activity` shows it to anybody. */
export interface OtherSession {
  pid: number
  user: string
  application: string
  /** As `OwnSession` has it; empty where it is hidden. */
  startedAt: string
}

const POLL_MS = 10
/** A termination is asked for again when a session outlives it: a signal can fall into a critical section. */
const AGAIN_MS = 1_000

/**
 * Sessions in the database, our own and autovacuum's left out (autovacuum has no user; the server ends it by itself
 * before a rename or a clone).
 */
export async function otherSessions(control: Client, database: string): Promise<OtherSession[]> {
  return sessionsWhere(control, 'datname = $1', [database])
}

/** How many sessions a database has had. */
export interface SessionCount {
  sessions: bigint
  /** When the server began to count, as text: a crash, or a person's reset, begins anew, and the two counts tell nothing of each other. */
  since: string
}

/**
 * Counts each session of the database, certainly once it has ended (a living one may not have told yet). Throws
 * `StateUnexpected` for an unknown database.
 */
export async function sessionCount(control: Client, database: string): Promise<SessionCount> {
  // After a crash the server forgets what it knows of each database, and says so where it knows only of itself.
  const { rows } = await control.query<{ sessions: string; since: string }>(
    `select d.sessions::text as sessions,
            concat_ws(' ', extract(epoch from d.stats_reset), extract(epoch from s.stats_reset)) as since
       from pg_stat_database d, pg_stat_bgwriter s where d.datname = $1`,
    [database],
  )
  if (!rows[0]) throw unknownDatabase(database)
  return { sessions: BigInt(rows[0].sessions), since: rows[0].since }
}

/**
 * How many rows have been written in the database, those of its catalogs among them: every change there is but a sequence's.
 * Exact once all sessions have ended (from PostgreSQL 15 on). A server's crash resets it. Throws `StateUnexpected` for an
 * unknown database.
 */
export async function writeCount(control: Client, database: string): Promise<bigint> {
  const { rows } = await control.query<{ count: string }>(
    'select (tup_inserted + tup_updated + tup_deleted)::text as count from pg_stat_database where datname = $1',
    [database],
  )
  if (!rows[0]) throw unknownDatabase(database)
  return BigInt(rows[0].count)
}

const unknownDatabase = (database: string): Error => failure('StateUnexpected', `there is no database ${database}`)

/** Whether no role and no database is exempt from the counting of `writeCount`. */
export async function countsWrites(control: Client): Promise<boolean> {
  const { rows } = await control.query<{ counts: boolean }>(
    `select current_setting('track_counts')::bool and not exists (
       select from pg_db_role_setting, unnest(setconfig) setting where setting like 'track_counts=%') as counts`,
  )
  return rows[0]?.counts === true
}

/** Whether the database lets sessions in. Throws `StateUnexpected` for an unknown database. */
export async function isOpen(control: Client, database: string): Promise<boolean> {
  const { rows } = await control.query<{ open: boolean }>(
    'select datallowconn as open from pg_database where datname = $1',
    [database],
  )
  if (!rows[0]) throw unknownDatabase(database)
  return rows[0].open
}

/** Lets nobody in any more, superusers included; sessions inside stay. From a session in another database. Twice is once. */
export async function closeDatabase(control: Client, database: string, fence: Fence): Promise<void> {
  await fence.check()
  await control.query(`alter database ${quoteIdentifier(database)} allow_connections false`)
}

/** Undoes `closeDatabase`. Twice is once. */
export async function reopenDatabase(control: Client, database: string, fence: Fence): Promise<void> {
  await fence.check()
  await control.query(`alter database ${quoteIdentifier(database)} allow_connections true`)
}

/**
 * Ends every session in the database and waits until none is left; returns how many it ended. Throws `WritersNotQuiet` naming pid, user and
 * application of those left after `withinMs`, and prepared transactions, which no termination ends.
 */
export async function endSessions(
  control: Client,
  database: string,
  options: { except?: readonly number[]; withinMs: number },
  fence: Fence,
): Promise<number> {
  const find = async (): Promise<OtherSession[]> =>
    (await otherSessions(control, database)).filter(({ pid }) => !options.except?.includes(pid))
  const ended = await endAll(control, find, `in database ${database}`, options.withinMs, () => fence.check())
  const { rows } = await control.query<{ gid: string }>('select gid from pg_prepared_xacts where database = $1', [
    database,
  ])
  if (rows.length === 0) return ended
  throw failure(
    'WritersNotQuiet',
    `database ${database} has prepared transactions: ${rows.map(({ gid }) => gid).join(', ')}`,
  )
}

/** As `endSessions`, of every session but `mine`, which is one of the database. */
export async function endOthers(
  control: Client,
  database: string,
  mine: Client,
  withinMs: number,
  fence: Fence,
): Promise<number> {
  const { rows } = await mine.query<{ pid: number }>('select pg_backend_pid() as pid')
  return endSessions(control, database, { withinMs, except: rows.map(({ pid }) => pid) }, fence)
}

/** Ends every backend of the cluster whose application name `isMeant`, and waits until none is left. Our own stays. */
export async function endSessionsNamed(
  control: Client,
  isMeant: (application: string) => boolean,
  withinMs: number,
): Promise<number> {
  const find = async (): Promise<OtherSession[]> =>
    (await sessionsWhere(control, `application_name like 'hg:%'`)).filter(({ application }) => isMeant(application))
  return endAll(control, find, 'of an older attempt', withinMs)
}

/**
 * Ends every backend of the cluster named `hg:<scope>:<older epoch>:...` and waits until none is left. Takes no fence:
 * it is what a fence is made of. Throws `WritersNotQuiet` naming those left.
 */
export async function endOlderSessions(
  control: Client,
  scope: string,
  epoch: number,
  withinMs: number,
): Promise<number> {
  return endSessionsNamed(
    control,
    (application) => {
      const ours = parseApplicationName(application)
      return ours?.scope === scope && ours.epoch < epoch
    },
    withinMs,
  )
}

async function endAll(
  control: Client,
  find: () => Promise<OtherSession[]>,
  where: string,
  withinMs: number,
  beforeEach?: () => Promise<void>,
): Promise<number> {
  const started = performance.now()
  const asked = new Map<number, number>()
  let refusal: unknown
  for (let left = await find(); left.length > 0; left = await find()) {
    if (performance.now() - started > withinMs) throw notQuiet(left, where, refusal)
    for (const session of left) {
      if (performance.now() - (asked.get(session.pid) ?? -AGAIN_MS) < AGAIN_MS) continue
      await beforeEach?.()
      refusal = (await terminate(control, session)) ?? refusal
      asked.set(session.pid, performance.now())
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return asked.size
}

/** Ends one session, told apart from a later one with the same pid by its name. Returns the server's refusal. */
async function terminate(control: Client, { pid, application }: OtherSession): Promise<unknown> {
  try {
    await control.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and application_name = $2',
      [pid, application],
    )
    return undefined
  } catch (error) {
    return error
  }
}

const notQuiet = (left: OtherSession[], where: string, refusal: unknown): Error =>
  failure(
    'WritersNotQuiet',
    `sessions left ${where}: ${left.map(({ pid, user, application }) => `pid ${pid} ${user} "${application}"`).join(', ')}`,
    refusal,
  )

async function sessionsWhere(control: Client, where: string, values: unknown[] = []): Promise<OtherSession[]> {
  const { rows } = await control.query<OtherSession>(
    `select pid, usename::text as "user", application_name as "application", coalesce(${inUtc('backend_start')}, '') as "startedAt"
       from pg_stat_activity where usesysid is not null and pid <> pg_backend_pid() and ${where} order by pid`,
    values,
  )
  return rows
}
