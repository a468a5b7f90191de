import type { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  closeDatabase,
  endOlderSessions,
  endSessions,
  isOpen,
  otherSessions,
  reopenDatabase,
  type SessionCount,
  sessionCount,
  writeCount,
} from '../../../src/adapters/postgres/gate.js'
import { openSession, withSession } from '../../../src/adapters/postgres/session.js'
import { applicationName } from '../../../src/domain/names.js'
import { failedWith, messageOf } from '../../../src/domain/failures.js'
import type { Target } from '../../../src/adapters/postgres/target.js'
import { startPostgres } from '../../support/postgres-server.js'
import { OpenFence } from '../../support/open-fence.js'
import { createDatabase, openControl, serverTarget, type TestDatabase } from '../../support/test-database.js'

const fence = new OpenFence()
let app: TestDatabase
let control: Client
const opened: Client[] = []

beforeEach(async () => {
  app = await createDatabase()
  control = await openControl()
})
afterEach(async () => {
  await Promise.all([control, ...opened.splice(0)].map((session) => session.end().catch(() => {})))
})

const enter = async (name: string, user = 'postgres'): Promise<Client> => {
  const session = await openSession({ ...app.target, user }, { applicationName: name })
  opened.push(session)
  return session
}
const isAlive = (session: Client): Promise<boolean> =>
  session.query('select 1').then(
    () => true,
    () => false,
  )

test('a closed database lets nobody in, ends who is inside, and opens again', async () => {
  const inside = [await enter('busy'), await enter('idle'), await enter('in transaction')]
  await inside[2]?.query('begin')
  const sleeping = inside[0]?.query('select pg_sleep(60)').catch((e: unknown) => e)
  await closeDatabase(control, app.name, fence)
  expect(await endSessions(control, app.name, { withinMs: 5_000 }, fence)).toBe(3)
  expect(await sleeping).toBeInstanceOf(Error)
  expect(await otherSessions(control, app.name)).toEqual([])
  expect(await isOpen(control, app.name)).toBe(false)
  const refused = await enter('late').catch((e: unknown) => e)
  expect(failedWith(refused, 'DatabaseUnreachable')).toBe(true)
  expect(messageOf(refused)).toContain('not currently accepting connections')
  await reopenDatabase(control, app.name, fence)
  expect(await isAlive(await enter('again'))).toBe(true)
})

test('the count of sessions grows by one for each that has come and gone', async () => {
  const { sessions: before, since } = await sessionCount(control, app.name)
  await withSession(app.target, { applicationName: 'one' }, async () => {})
  await endSessions(control, app.name, { withinMs: 5_000 }, fence)
  await expect.poll(() => sessionCount(control, app.name)).toEqual({ sessions: before + 1n, since })
})

test('a count of sessions that begins anew after a crash is another count, however far it has come', async () => {
  const server = await startPostgres()
  const crashing: Target = { ...serverTarget(), port: server.port }
  const count = (): Promise<SessionCount> =>
    withSession(crashing, { applicationName: 'count' }, (session) => sessionCount(session, 'template1'))
  try {
    const before = await count()
    expect(await count()).toEqual(before)
    const victim = await openSession(crashing, { applicationName: 'victim' })
    const { rows } = await victim.query<{ pid: number }>('select pg_backend_pid() as pid')
    process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
    await expect.poll(() => count().catch(() => before), { timeout: 30_000 }).not.toEqual(before)
    expect((await count()).since).not.toBe(before.since)
  } finally {
    await server.stop()
  }
})

test('the count of writes tells rows, schema and large objects, and no reader', async () => {
  const writes = async (): Promise<bigint> => {
    await endSessions(control, app.name, { withinMs: 5_000 }, fence)
    return writeCount(control, app.name)
  }
  const does = (sql: string): Promise<unknown> =>
    withSession(app.target, { applicationName: 'one' }, (one) => one.query(sql))
  await does('create table t as select 1 as v')
  const before = await writes()
  await does('select * from t; select count(*) from pg_class; begin; select 1; rollback')
  expect(await writes()).toBe(before)
  let last = before
  for (const sql of [
    'insert into t values (2)',
    'update t set v = 3',
    'delete from t',
    'truncate t',
    'create table u ()',
    `comment on table t is 'changed'`,
    `select lo_from_bytea(0, 'x')`,
    'grant select on t to public',
    'create index on t (v)',
  ]) {
    await does(sql)
    const now = await writes()
    expect(now, sql).toBeGreaterThan(last)
    last = now
  }
})

test('excepted sessions stay', async () => {
  const ours = await enter('ours')
  const others = await enter('others')
  const { rows } = await ours.query<{ pid: number }>('select pg_backend_pid() as pid')
  await endSessions(control, app.name, { except: rows.map(({ pid }) => pid), withinMs: 5_000 }, fence)
  expect([await isAlive(ours), await isAlive(others)]).toEqual([true, false])
})

test('who cannot be ended is named, with the server`s reason', async () => {
  const weak = `weak_${app.name}`
  await control.query(`create role ${weak} login`)
  await enter('a superuser')
  const ending = withSession({ ...serverTarget(), user: weak }, { applicationName: 'weak' }, (session) =>
    endSessions(session, app.name, { withinMs: 100 }, fence),
  )
  const error = await ending.catch((e: unknown) => e)
  expect(failedWith(error, 'WritersNotQuiet')).toBe(true)
  expect(messageOf(error)).toMatch(/pid \d+ postgres "a superuser"/)
})

test('a prepared transaction is a writer that is left', async () => {
  const session = await enter('two phases')
  await session.query(`begin; create table t (); prepare transaction 'half of it'`)
  const error = await endSessions(control, app.name, { withinMs: 5_000 }, fence).catch((e: unknown) => e)
  expect(failedWith(error, 'WritersNotQuiet')).toBe(true)
  expect(messageOf(error)).toContain('half of it')
  await (await enter('cleaning')).query(`rollback prepared 'half of it'`)
})

test('sessions of older attempts are ended wherever they are; the newest and those of others stay', async () => {
  const scope = 'a1b2c3d4'
  const older = [await enter(applicationName(scope, 1, 'migrate')), await enter(applicationName(scope, 9, 'verify'))]
  const elsewhere = await openSession(serverTarget(), { applicationName: applicationName(scope, 2, 'watch') })
  opened.push(elsewhere)
  const staying = [
    await enter(applicationName(scope, 10, 'migrate')),
    await enter(applicationName('00c0ffee', 1, 'migrate')),
    await enter('hg:something else'),
  ]
  const waiting = older[0]?.query('select pg_sleep(60)').catch(() => {})
  expect(await endOlderSessions(control, scope, 10, 5_000)).toBe(3)
  await waiting
  expect(await Promise.all([...older, elsewhere].map(isAlive))).toEqual([false, false, false])
  expect(await Promise.all(staying.map(isAlive))).toEqual([true, true, true])
})
