import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import { sessionsNamed } from '../postgres/activity.js'
import { countsWrites, otherSessions, type SessionCount, sessionCount } from '../postgres/gate.js'
import { quoteIdentifier } from '../postgres/session.js'

const POLL_MS = 10
const LEAVE_WITHIN_MS = 10_000

/** Hands out a session and takes it back. */
export type Opening<T> = (work: (session: Client) => Promise<T>) => Promise<T>

/** Runs `work` on a session in a closed database. It lets sessions in for as long as connecting takes, some milliseconds. */
export async function withinClosed<T>(
  control: Client,
  database: string,
  check: () => Promise<void>,
  open: Opening<T>,
  work: (session: Client) => Promise<T>,
): Promise<T> {
  let isShut = false
  const shut = async (): Promise<void> => {
    if (isShut) return
    await allow(control, database, false, check)
    isShut = true
  }
  await allow(control, database, true, check)
  try {
    return await open(async (session) => {
      await shut()
      return work(session)
    })
  } finally {
    await shut()
  }
}

/** Sessions that a program opens by itself: how many there will be, and under which name. */
export interface Expected {
  applicationName: string
  count: number
}

/** Lets sessions into a closed database until all that `work` needs are in, at the latest until it has ended, and closes it. */
export async function whileEntering<T>(
  control: Client,
  database: string,
  check: () => Promise<void>,
  expected: Expected,
  work: () => Promise<T>,
): Promise<T> {
  const ended = new AbortController()
  await allow(control, database, true, check)
  const closing = closeOnceIn(control, database, check, expected, ended.signal)
  // Told below; `work` may fail for the same reason first.
  closing.catch(() => {})
  try {
    return await work()
  } finally {
    ended.abort()
    await closing
  }
}

async function closeOnceIn(
  control: Client,
  database: string,
  check: () => Promise<void>,
  { applicationName, count }: Expected,
  ended: AbortSignal,
): Promise<void> {
  while (!ended.aborted && (await sessionsNamed(control, database, [applicationName])).length < count) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  await allow(control, database, false, check)
}

/** Not by a fence alone: a backup is verified without one, and a check that fails must leave the database to the next attempt. */
async function allow(control: Client, database: string, allowed: boolean, check: () => Promise<void>): Promise<void> {
  await check()
  await control.query(`alter database ${quoteIdentifier(database)} allow_connections ${allowed}`)
}

/** Throws `BackupFailed` unless the database is closed and nobody is in it. Returns its session count, to prove later that nobody came. */
export async function requireQuiet(control: Client, database: string, isOpen: boolean): Promise<SessionCount> {
  if (isOpen) throw failure('BackupFailed', `database ${database} is not closed: others could write to it`)
  const sessions = await otherSessions(control, database)
  const { rows } = await control.query<{ gid: string }>('select gid from pg_prepared_xacts where database = $1', [
    database,
  ])
  const inside = [
    ...sessions.map(({ pid, user, application }) => `pid ${pid} ${user} "${application}"`),
    ...rows.map(({ gid }) => `prepared transaction ${gid}`),
  ]
  if (inside.length > 0) throw failure('BackupFailed', `database ${database} is not empty: ${inside.join(', ')}`)
  return sessionCount(control, database)
}

/** Throws `BackupFailed` when others than our `own` sessions were in the closed database since it had had `before`. All of ours have left. */
export async function requireNobodyCame(
  control: Client,
  database: string,
  before: SessionCount,
  own: number,
): Promise<void> {
  for (const started = performance.now(); ; ) {
    const inside = await otherSessions(control, database)
    if (inside.length === 0) break
    if (performance.now() - started > LEAVE_WITHIN_MS)
      throw failure('BackupFailed', `sessions of others came into ${database}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  const { sessions, since } = await sessionCount(control, database)
  if (since !== before.since)
    throw failure('BackupFailed', `the server lost its count of the sessions of ${database}: it crashed or was reset`)
  const others = sessions - before.sessions - BigInt(own)
  if (others === 0n) return
  if (others < 0n) throw failure('BackupFailed', `sessions of ours in database ${database} were not counted`)
  throw failure(
    'BackupFailed',
    `${others} of others' sessions came into database ${database} while the backup was taken`,
    undefined,
    { hint: 'something connects again and again: stop it, or name it under `services`, so that the run stops it' },
  )
}

/** What autovacuum writes by itself, in a closed database too, is left out: statistics, those of shared catalogs among them. */
const WRITES = `
with statistics as (select oid, reltoastrelid from pg_class where oid in ('pg_statistic'::regclass, 'pg_statistic_ext_data'::regclass))
select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text as count
  from pg_stat_all_tables s join pg_class c on c.oid = s.relid
 where not c.relisshared and c.oid not in (select oid from statistics union all select reltoastrelid from statistics)`

/** How many rows have been written in the session's database, those of its catalogs among them, by sessions that have ended. */
export async function writesIn(session: Client): Promise<string> {
  const { rows } = await session.query<{ count: string }>(WRITES)
  return rows[0]?.count ?? '0'
}

/** Since when the server counts what is written in a database; undefined where some of it is not counted. */
export async function countedSince(control: Client, database: string): Promise<string | undefined> {
  return (await countsWrites(control)) ? (await sessionCount(control, database)).since : undefined
}
