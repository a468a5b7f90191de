import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { quoteIdentifier } from '../../src/adapters/postgres/session.js'
import { FILE_MARK } from '../support/file-mark.js'
import { withControl } from '../support/test-database.js'
import { World, type WorldOptions } from '../support/world.js'

/** Who writes cannot be stopped, and tries all the time. */
const HALF = `-- headgate:no-transaction
  alter table orders add column half boolean;
  create unique index concurrently orders_by_item on orders (item)`
const SLOW = 'alter table orders add column price integer; select pg_sleep(1)'

let world: World
let role: string
let made = 0
const before = { limit: 7 }

async function company(options: Partial<WorldOptions>, quiesce: unknown = { roles: [role] }): Promise<void> {
  const { configuration, ...others } = options
  world = await World.create({
    ...{ migrations: { '0002_price.sql': SLOW }, withoutService: true, writesAs: role, writeEveryMs: 5 },
    configuration: { quiesce, ...configuration },
    ...others,
  })
  await limitTo(before.limit)
  await world.startWorker()
}
const limitTo = (limit: number): Promise<unknown> =>
  withControl((control) => control.query(`alter role ${quoteIdentifier(role)} connection limit ${limit}`))
const limit = (of = role): Promise<number> =>
  withControl(async (control) => {
    const { rows } = await control.query<{ limit: number }>(
      'select rolconnlimit as "limit" from pg_roles where rolname = $1',
      [of],
    )
    return rows[0]?.limit ?? Number.NaN
  })
/** Whether the migration has come to where it waits. */
const sleeps = (): Promise<boolean> =>
  withControl(async (control) => {
    const { rowCount } = await control.query(
      `select from pg_stat_activity where datname = $1 and query like '%pg_sleep%' and state = 'active'`,
      [world.database.name],
    )
    return rowCount === 1
  })
const begun = async (step: string): Promise<void> => {
  await world.until((state) => state.step === step)
  await pause(300)
}

role = `app ${FILE_MARK} "x" \\ '`
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
  made += 1
  role = `app_${FILE_MARK}_${made}`
})

describe('the roles that applications log in as are blocked', () => {
  test('while the gate is closed, and log in as before after it, whatever they try meanwhile', async () => {
    await company({})
    const plan = await world.typed('plan', 'staging', '--tag', '2')
    expect(plan.text).toContain('  blocks     ')
    expect(plan.text).not.toContain('no automatic restore')
    await world.start()
    await begun('migrate')
    expect(await limit()).toBe(0)
    const written = world.acknowledged.length
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
    expect(ending.lines.find(({ step }) => step === 'quiesce-writers')?.note).toContain('nobody logs in as')
    expect(await limit()).toBe(before.limit)
    while (world.acknowledged.length <= written) await pause(20)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('so that a migration which fails half-way is put back by itself, and no write is lost', async () => {
    await company({ migrations: { '0002_half.sql': HALF } })
    await world.start()
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored' })
    expect(await limit()).toBe(before.limit)
    const written = world.acknowledged.length
    while (world.acknowledged.length <= written) await pause(20)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test.each(['quiesce-writers', 'migrate'])('also where the worker dies in %s', async (step) => {
    await company({})
    await world.start()
    await world.until((state) => state.step === step)
    world.workers[0]?.kill('SIGKILL')
    await world.startWorker()
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
    expect(await limit()).toBe(before.limit)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('and stay so where somebody had blocked them before', async () => {
    await company({})
    await limitTo(0)
    await world.start()
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
    expect(await limit()).toBe(0)
  })

  test('and where a run is terminated behind the gate the worker lets them in again', async () => {
    await company({})
    await world.start()
    await begun('migrate')
    await world.handle.terminate('somebody tidied up')
    while ((await world.journal(`select from {s}.runs where state = 'open'`)).length > 0) await pause(100)
    expect(await limit()).toBe(before.limit)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })
})

test('one that somebody else is changing keeps no other out, and logs in as before once that is over', async () => {
  const other = `a_${FILE_MARK}`
  await withControl((control) => control.query(`create role ${quoteIdentifier(other)} login connection limit 3`))
  await company({}, { roles: [role, other] })
  await world.start()
  await begun('migrate')
  expect(await limit(other)).toBe(0)
  await withControl(async (control) => {
    await control.query(`begin; alter role ${quoteIdentifier(other)} valid until 'infinity'`)
    await expect.poll(() => limit(), { timeout: 20_000 }).toBe(before.limit)
    expect(await limit(other)).toBe(0)
    await control.query('commit')
  })
  await world.ending()
  expect([await limit(), await limit(other)]).toEqual([before.limit, 3])
})

test('a run without anybody to start or resume, terminated before it opened the gate, lets them in', async () => {
  await company({ configuration: { consumers: {} } })
  const verify = [{ name: 'takes its time', sql: 'select count(pg_sleep(2))', expect: 1 }]
  await world.configure({ quiesce: { roles: [role] }, consumers: {}, verify })
  await world.start()
  await world.until(({ step }) => step === 'verify')
  await world.handle.executeUpdate('hold', { args: [{ by: 'ben', now: true }] })
  await world.until(({ state, lines }) => state === 'held' && lines.at(-1)?.step === 'verify')
  await world.handle.terminate('somebody tidied up')
  while ((await world.journal(`select from {s}.runs where state = 'open'`)).length > 0) await pause(100)
  expect(await limit()).toBe(before.limit)
})

test('a run that needs an operator leaves them blocked, says so, and its way out lets them in', async () => {
  const half = `-- headgate:no-transaction
    alter table orders add column half boolean;
    select pg_sleep(5);
    select 1 / 0`
  await company({ migrations: { '0002_half.sql': half } })
  await world.start()
  const { run } = await world.until((state) => state.step === 'migrate')
  while (!(await sleeps())) await pause(50)
  while ((await world.journal(`select from {s}.runs where outcome = 'needs-operator'`)).length === 0) {
    await world.handle.terminate('somebody tidied up').catch(() => {})
    await pause(100)
  }
  expect(await limit()).toBe(0)
  expect((await world.typed('recover', run)).text).toContain('nobody can log in as')
  const restored = await world.typed('recover', run, '--restore', '--yes')
  expect(restored.exit, restored.text).toBe(0)
  expect(await limit()).toBe(before.limit)
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

describe('a role that cannot be blocked', () => {
  test.each<[string, () => string, string]>([
    ['that there is not', () => 'nobody_at_all', 'there is no role nobody_at_all'],
    ['that only has members', () => 'pg_monitor', 'nobody logs in as role pg_monitor'],
    ['that Headgate logs in as', () => 'postgres', 'role postgres is one that Headgate itself logs in as'],
  ])('%s leaves the gate open, and the plan says so', async (_, name, why) => {
    await company({}, { roles: [name()] })
    const plan = await world.typed('plan', 'staging', '--tag', '2')
    expect(plan.text).toContain(`no automatic restore here, because ${why}`)
    await world.start()
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('since it is a superuser leaves the gate open, and the plan says so', async () => {
    await company({})
    await withControl((control) => control.query(`alter role ${quoteIdentifier(role)} superuser`))
    expect((await world.typed('plan', 'staging', '--tag', '2')).text).toContain(
      'is a superuser, whom nothing keeps out',
    )
    expect((await world.typed('doctor', 'staging')).text).toContain('is a superuser, whom nothing keeps out')
  })
})
