import type { Client } from 'pg'
import type { OwnSession } from '../../domain/fence.js'

/** The start of a session as ISO 8601 in UTC, to the microsecond, whatever `DateStyle` a database or role has set. */
export const inUtc = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/** Selects sessions as `OwnSession`. */
export const OWN_SESSION = `
select pid, ${inUtc('backend_start')} as "startedAt",
       (select system_identifier::text from pg_control_system()) as "systemIdentifier", datid::text as "oid",
       pg_is_in_recovery() as "isStandby"
  from pg_stat_activity`

/** Sessions on `database` under exactly one of these application names. */
export async function sessionsNamed(
  session: Client,
  database: string,
  applicationNames: readonly string[],
): Promise<OwnSession[]> {
  const { rows } = await session.query<OwnSession>(
    `${OWN_SESSION} where datname = $1 and application_name = any ($2) and backend_type = 'client backend'`,
    [database, applicationNames],
  )
  return rows
}

/** One session of ours that waits for a lock, who holds it, and how many wait behind us. */
export interface Blocked {
  pid: number
  /** It waits for a table, not for the end of transactions as `create index concurrently` does. */
  forTable: boolean
  waitingMs: number
  blockers: { pid: number; user: string; applicationName: string; state: string; ageMs: number }[]
  behindUs: number
}

/** Which of our sessions wait for locks, and for whom. Never holds a lock or a snapshot itself. */
export async function blockedSessions(session: Client, database: string, applicationName: string): Promise<Blocked[]> {
  const { rows } = await session.query<Blocked>(
    `select a.pid, a.wait_event = 'relation' as "forTable", (extract(epoch from clock_timestamp() - a.query_start) * 1000)::int as "waitingMs",
       (select coalesce(json_agg(json_build_object('pid', b.pid, 'user', b.usename, 'applicationName', b.application_name, 'state', b.state,
          'ageMs', (extract(epoch from clock_timestamp() - coalesce(b.xact_start, b.query_start)) * 1000)::int)), '[]')
        from pg_stat_activity b where b.pid = any (pg_blocking_pids(a.pid))) as blockers,
       (select count(distinct w.pid)::int from pg_locks w where not w.granted and w.pid <> a.pid and a.pid = any (pg_blocking_pids(w.pid))) as "behindUs"
     from pg_stat_activity a
     where a.datname = $1 and a.application_name = $2 and a.wait_event_type = 'Lock'`,
    [database, applicationName],
  )
  return rows
}

/** Cancels what this session of ours waits for a table with, if it still does: whoever waits behind it gets through. */
export async function cancelWaiting(session: Client, pid: number, applicationName: string): Promise<boolean> {
  const { rows } = await session.query<{ cancelled: boolean }>(
    `select pg_cancel_backend(pid) as cancelled from pg_stat_activity
      where pid = $1 and application_name = $2 and wait_event_type = 'Lock' and wait_event = 'relation'`,
    [pid, applicationName],
  )
  return rows[0]?.cancelled === true
}

/** Whether any of these backends holds a table. */
export async function holdAny(session: Client, pids: readonly number[]): Promise<boolean> {
  const { rowCount } = await session.query(
    `select from pg_locks where pid = any ($1) and granted and locktype = 'relation' limit 1`,
    [pids],
  )
  return (rowCount ?? 0) > 0
}

/** Transactions of others on `database` that are older than `olderThanMs`: a migration would queue behind them, and readers behind it. */
export async function longTransactions(
  session: Client,
  database: string,
  olderThanMs: number,
): Promise<{ pid: number; user: string; applicationName: string; ageMs: number }[]> {
  const { rows } = await session.query<{ pid: number; user: string; applicationName: string; ageMs: number }>(
    `select pid, usename as user, application_name as "applicationName", (extract(epoch from clock_timestamp() - xact_start) * 1000)::int as "ageMs"
     from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() and backend_type = 'client backend'
       and xact_start < clock_timestamp() - make_interval(secs => $2::float8 / 1000) order by xact_start`,
    [database, olderThanMs],
  )
  return rows
}

/** As `longTransactions`, of those that were prepared and wait for their commit: no session holds them, and none can be ended. */
export async function longPrepared(
  session: Client,
  database: string,
  olderThanMs: number,
): Promise<{ gid: string; user: string; ageMs: number }[]> {
  const { rows } = await session.query<{ gid: string; user: string; ageMs: number }>(
    `select gid, owner::text as user, (extract(epoch from clock_timestamp() - prepared) * 1000)::int as "ageMs"
     from pg_prepared_xacts where database = $1
       and prepared < clock_timestamp() - make_interval(secs => $2::float8 / 1000) order by prepared`,
    [database, olderThanMs],
  )
  return rows
}

/** What the database's sessions that have ended had written to temporary files, in bytes. */
export async function temporaryBytes(session: Client): Promise<number> {
  const { rows } = await session.query<{ bytes: string }>(
    'select temp_bytes::text as bytes from pg_stat_database where datname = current_database()',
  )
  return Number(rows[0]?.bytes ?? 0)
}
