import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createChecks } from '../../../src/adapters/check/index.js'
import type { CheckResult, CheckSetting } from '../../../src/adapters/check/port.js'
import { withSession } from '../../../src/adapters/postgres/session.js'
import type { SqlCheck } from '../../../src/domain/configuration-checks.js'
import { freePort } from '../../support/http-server.js'
import { createDatabase, type TestDatabase } from '../../support/test-database.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

const signal = new AbortController().signal
let database: TestDatabase

const count = (): Promise<string | undefined> =>
  withSession(database.target, { applicationName: 'test' }, async (session) => {
    const { rows } = await session.query<{ n: string }>('select count(*) as n from orders')
    return rows[0]?.n
  })

const setting = (): CheckSetting => ({
  target: database.target,
  applicationName: 'hg:00000000:1:verify',
  directory: '/',
  secrets: [SECRET],
})

async function ask(sql: string, expected: SqlCheck['expect'], timeout = 10_000): Promise<CheckResult> {
  const [check] = createChecks([{ name: 'a check', sql, expect: expected, timeout }], setting())
  if (!check) throw new Error('no check was made')
  return check.run(CONTEXT, signal)
}

beforeAll(async () => {
  database = await createDatabase()
  await withSession(database.target, { applicationName: 'test' }, (session) =>
    session.query(`create table orders (id int); insert into orders values (1), (2);
      create function careless() returns int language sql as 'delete from orders; select 1'`),
  )
})

checkContract('sql', async () => {
  let sql = `select 'fine'`
  const configuration = {
    name: 'no orphan orders',
    get sql() {
      return sql
    },
    expect: 'fine',
    timeout: 10_000,
  }
  const used = { ...setting() }
  const [check] = createChecks([configuration], used)
  if (!check) throw new Error('no check was made')
  const unreachable = { ...database.target, port: await freePort() }
  const gone = createChecks([configuration], { ...used, target: unreachable })[0]
  return {
    check: {
      ...check,
      run: (context, abort) => (sql === 'gone' && gone ? gone.run(context, abort) : check.run(context, abort)),
    },
    become: async (condition) => {
      sql = condition === 'gone' ? 'gone' : `select '${condition === 'good' ? 'fine' : SECRET}'`
    },
    close: async () => {},
  }
})

describe('a sql check', () => {
  afterEach(async () => {
    expect(await count()).toBe('2')
  })

  it.each<[string, SqlCheck['expect']]>([
    ['select count(*) from orders', 2],
    ['select count(*) from orders', '2'],
    ['select 0.00::numeric', 0],
    ['select sum(x)::numeric(10,2) from (values (1.5), (0.5)) as v(x)', 2],
    ['select 9007199254740993', '9007199254740993'],
    ['select true', true],
    ['select 1 = 2', false],
    [`select 'true'`, true],
    ['select null', null],
    ['select null::int', null],
    [`select 'a b'`, 'a b'],
    [`select ''`, ''],
    ['select max(id), min(id) from orders', 2],
    ['select id from orders order by id', 1],
    ['with o as (select * from orders) select count(*) from o; -- done', 2],
    ['values (1)', 1],
    ['show server_encoding', 'UTF8'],
  ])('finds %s to be %j', async (sql, expected) => {
    expect(await ask(sql, expected)).toMatchObject({ ok: true })
  })

  it.each<[string, SqlCheck['expect'], string]>([
    ['select 3', 0, '3, expected 0'],
    ['select 9007199254740993', 9007199254740992, '9007199254740993, expected 9007199254740992'],
    [`select ''`, 0, 'an empty text, expected 0'],
    [`select 'null'`, null, 'null, expected null'],
    ['select null', 'null', 'null, expected null'],
    ['select null', 0, 'null, expected 0'],
    ['select false', true, 'false, expected true'],
    ['select 1 where false', 0, 'no row, expected 0'],
    ['select 1 where false', null, 'no row, expected null'],
    ['set work_mem = 4096', 0, 'no row, expected 0'],
  ])('does not find %s to be %j', async (sql, expected, found) => {
    expect(await ask(sql, expected)).toEqual({ name: 'a check', ok: false, found })
  })

  it.each<[string, RegExp]>([
    ['delete from orders', /read-only transaction \(25006\)/],
    ['with d as (delete from orders returning id) select count(*) from d', /read-only transaction \(25006\)/],
    ['select careless()', /read-only transaction \(25006\)/],
    ['create table t ()', /read-only transaction \(25006\)/],
    [`do $$ begin delete from orders; end $$`, /read-only transaction \(25006\)/],
    [
      `do $$ begin set local transaction_read_only = off; delete from orders; end $$`,
      /transaction read-write mode (must be set before any query|inside a read-only transaction)/,
    ],
    [
      `do $$ begin perform set_config('default_transaction_read_only', 'off', false); commit; delete from orders; end $$`,
      /invalid transaction termination/,
    ],
    ['select 1; drop table orders', /cannot insert multiple commands into a prepared statement/],
    ['commit; delete from orders', /cannot insert multiple commands into a prepared statement/],
    ['set default_transaction_read_only = off; delete from orders', /multiple commands/],
  ])('is refused by the server: %s', async (sql, reason) => {
    const { ok, found } = await ask(sql, 2)
    expect(ok).toBe(false)
    expect(found).toMatch(reason)
  })

  it('may end its own transaction and gains nothing by it', async () => {
    expect(await ask('commit', 0)).toMatchObject({ ok: false, found: 'no row, expected 0' })
  })

  it('says what the server says to a mistake', async () => {
    const { found } = await ask('select count(*) from order_lines', 0)
    expect(found).toBe('the server said: relation "order_lines" does not exist (42P01)')
  })

  it('is ended by the server when it takes too long', async () => {
    const { ok, found } = await ask('select pg_sleep(60)', 0, 200)
    expect(ok).toBe(false)
    expect(found).toContain('(57014)')
  })

  it('ends its statement at the server when it is told to stop', async () => {
    const [check] = createChecks(
      [{ name: 'a check', sql: `select pg_sleep(60) /* a long check */`, expect: 0, timeout: 60_000 }],
      setting(),
    )
    const stop = new AbortController()
    const asked = check?.run(CONTEXT, stop.signal).catch((error: unknown) => error)
    await expect.poll(running).toBe(1)
    stop.abort(new Error('enough'))
    expect(String(await asked)).toContain('enough')
    await expect.poll(running, { timeout: 10_000 }).toBe(0)
  })

  it('looks at the first row only, however many there are, without keeping the others', async () => {
    expect(await ask('select n from generate_series(1, 300000) as n', 1)).toMatchObject({ ok: true, found: '1' })
  })

  it('shows 200 characters at most of what it found', async () => {
    const { found } = await ask(`select repeat('x', 100000)`, 'y')
    expect(found.length).toBeLessThanOrEqual(200)
  })
})

const running = (): Promise<number> =>
  withSession(database.target, { applicationName: 'test' }, async (session) => {
    const { rows } = await session.query<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity
       where query like '%a long check%' and state = 'active' and pid <> pg_backend_pid()`,
    )
    return rows[0]?.n ?? -1
  })
