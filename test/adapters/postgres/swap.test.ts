import type { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cloneDatabase, dropDatabase } from '../../../src/adapters/postgres/clone.js'
import { propertyStatements } from '../../../src/adapters/postgres/database-properties.js'
import { isOpen, reopenDatabase } from '../../../src/adapters/postgres/gate.js'
import { openSession, withSession } from '../../../src/adapters/postgres/session.js'
import { databaseOid, observeSwap, swapDatabases } from '../../../src/adapters/postgres/swap.js'
import { failedWith, failure } from '../../../src/domain/failures.js'
import { cloneName, quarantineName } from '../../../src/domain/names.js'
import { OpenFence } from '../../support/open-fence.js'
import {
  createDatabase,
  openControl,
  serverTarget,
  type TestDatabase,
  withControl,
} from '../../support/test-database.js'

const AT = new Date('2026-11-20T10:30:15Z')
const fence = new OpenFence()
let app: TestDatabase
let control: Client

beforeEach(async () => {
  app = await createDatabase()
  control = await openControl()
  await withSession(app.target, { applicationName: 'test' }, (s) =>
    s.query(`create table state as select 'before' as side`),
  )
  await control.query(`alter database ${app.name} set work_mem = '5MB'; comment on database ${app.name} is 'ours'`)
})
afterEach(() => control.end())

async function prepared() {
  const clone = cloneName(app.name, AT, 'clone')
  const properties = await propertyStatements(control, app.name)
  await cloneDatabase(control, app.name, clone, fence)
  await withSession(app.target, { applicationName: 'test' }, (s) => s.query(`update state set side = 'after'`))
  const [liveOid = '', replacementOid = ''] = [await databaseOid(control, app.name), await databaseOid(control, clone)]
  const quarantine = quarantineName(app.name, AT, 'run')
  return { live: app.name, replacement: clone, quarantine, liveOid, replacementOid, properties }
}

const stateOf = (session: Client): Promise<string> =>
  session.query<{ side: string }>('select side from state').then(({ rows }) => rows[0]?.side ?? '')

/** Ends the backend of `victim` at its n-th effect, between one statement and the next. */
class KillingFence extends OpenFence {
  readonly #victim: Client
  readonly #at: number

  constructor(victim: Client, at: number) {
    super()
    this.#victim = victim
    this.#at = at
  }

  override async check(): Promise<void> {
    await super.check()
    if (this.checks !== this.#at) return
    const { rows } = await this.#victim.query<{ pid: number }>('select pg_backend_pid() as pid')
    await withControl((killer) => killer.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]))
  }
}

test('a swap whose session dies between any two statements leaves before, and is finished by the next', async () => {
  const swap = await prepared()
  const untouched = await propertyStatements(control, swap.live)
  let effects = 0
  for (let at = 1; ; at++) {
    const doomed = await openControl()
    const killing = new KillingFence(doomed, at)
    const error = await swapDatabases(doomed, swap, killing).catch((e: unknown) => e)
    await doomed.end().catch(() => {})
    if (error === undefined) break
    effects = at
    expect(await observeSwap(control, swap)).toBe('before')
    expect(await propertyStatements(control, swap.live)).toEqual(untouched)
  }
  expect(effects).toBeGreaterThan(10)
  expect(await observeSwap(control, swap)).toBe('after')
  expect(await isOpen(control, swap.live)).toBe(true)
  expect(await isOpen(control, swap.quarantine)).toBe(false)
  expect(await propertyStatements(control, swap.live)).toEqual(swap.properties)
  expect(await withSession(app.target, { applicationName: 'test' }, stateOf)).toBe('before')

  await swapDatabases(control, swap, fence)
  expect(await observeSwap(control, swap)).toBe('after')
  await reopenDatabase(control, swap.quarantine, fence)
  const written = { ...app.target, database: swap.quarantine }
  expect(await withSession(written, { applicationName: 'test' }, stateOf)).toBe('after')
})

test('a proof that fails once the old database has its new name keeps everything as it was', async () => {
  const swap = await prepared()
  const proving = swapDatabases(control, swap, fence, async (quarantine) => {
    const { rows } = await control.query('select 1 from pg_database where datname = $1', [quarantine])
    throw failure('NeedsOperator', `somebody came into ${rows.length === 1 ? 'the one put aside' : 'nowhere'}`)
  })
  await expect(proving).rejects.toThrow('somebody came into the one put aside')
  expect(await observeSwap(control, swap)).toBe('before')
})

test('clients that reconnect without pause do not hinder a swap', async () => {
  const swap = await prepared()
  let isOver = false
  const storm = async (): Promise<void> => {
    while (!isOver) await withSession(app.target, { applicationName: 'storm' }, stateOf).catch(() => {})
  }
  const clients = [storm(), storm(), storm()]
  await swapDatabases(control, swap, fence)
  isOver = true
  await Promise.all(clients)
  expect(await withSession(app.target, { applicationName: 'test' }, stateOf)).toBe('before')
})

test('neither side of the swap is an error that shows what was seen', async () => {
  const swap = await prepared()
  await expect(observeSwap(control, { ...swap, liveOid: '1' })).rejects.toSatisfy((e) =>
    failedWith(e, 'StateUnexpected'),
  )
})

test.each([
  ['a logical slot', `select pg_create_logical_replication_slot('slot_of_' || current_database(), 'pgoutput')`],
  ['a subscription', `create subscription s connection 'host=nowhere' publication p with (connect = false)`],
  ['a prepared transaction', `begin; create table t (); prepare transaction 'half'`],
])('%s forbids the swap before anything changed', async (_what, sql) => {
  const swap = await prepared()
  await withSession(app.target, { applicationName: 'test' }, (s) => s.query(sql))
  await expect(swapDatabases(control, swap, fence)).rejects.toSatisfy((e) => failedWith(e, 'RestoreForbidden'))
  expect(await isOpen(control, app.name)).toBe(true)
  await withSession(app.target, { applicationName: 'test' }, (s) =>
    s.query(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()`),
  )
  if (sql.includes('prepare'))
    await withSession(app.target, { applicationName: 'test' }, (s) => s.query(`rollback prepared 'half'`))
})

test('an owner with CREATEDB clones and swaps without being superuser', async () => {
  const owner = `owner_${app.name}`
  await control.query(`create role ${owner} login createdb; grant pg_signal_backend to ${owner}`)
  await control.query(`alter database ${app.name} owner to ${owner}`)
  await withSession(app.target, { applicationName: 'test' }, (s) => s.query(`alter table state owner to ${owner}`))
  const superuser = control
  control = await openSession({ ...serverTarget(), user: owner }, { applicationName: 'owner' })
  const swap = await prepared()
  await swapDatabases(control, swap, fence)
  expect(await propertyStatements(control, app.name)).toEqual(swap.properties)
  await superuser.end()
})

test('a clone is closed from its first moment and dropped with whoever is in it; nothing else is ever dropped', async () => {
  const { replacement, quarantine } = await prepared()
  expect(await isOpen(control, replacement)).toBe(false)
  await reopenDatabase(control, replacement, fence)
  const inside = await openSession({ ...app.target, database: replacement }, { applicationName: 'reader' })
  await dropDatabase(control, replacement, fence)
  await dropDatabase(control, replacement, fence)
  await inside.end().catch(() => {})
  expect(await databaseOid(control, replacement)).toBeUndefined()
  for (const name of [app.name, quarantine, 'postgres', `${replacement}x`])
    await expect(dropDatabase(control, name, fence)).rejects.toSatisfy((e) => failedWith(e, 'StateUnexpected'))
})
