import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { fingerprintDifferences } from '../../src/adapters/postgres/data-fingerprint.js'
import { goOn, HELD, untilHeld } from '../support/held-migration.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

async function run(options: WorldOptions): Promise<World> {
  world = await World.create(options)
  await world.startWorker()
  return world
}

const EXPAND = { '0002_add_note.sql': 'alter table orders add column note text' }
const CONTRACT = { '0003_drop_item.contract.sql': 'alter table orders alter column item drop not null' }
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    alter table orders add column half_applied boolean;
    update orders set half_applied = true;
    create unique index concurrently on orders (item)`,
}

test('a release with an expand and a contract migration: migrated, approved, contracted, nothing lost', async () => {
  await run({ migrations: { ...EXPAND, ...CONTRACT } })
  await world.start()
  const waiting = await world.until(({ state }) => state === 'waiting')
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest: waiting.digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  await world.quiet()
  expect(await world.rows('select version from headgate_migrations order by 1')).toHaveLength(3)
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
  expect(await world.lost()).toEqual([])
  expect(world.acknowledged.length).toBeGreaterThan(5)
})

test('a transactional migration that fails leaves nothing: no restore, the same database, everything as before', async () => {
  await run({ migrations: { '0002_fails.sql': 'alter table orders add column note text; select 1 / 0' } })
  const oid = await world.oid()
  const before = (await world.fingerprint()).schema
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'aborted', exit: 5, consumers: 'as before the run' })
  expect(ending.reason).toContain('division by zero')
  expect(await world.oid()).toBe(oid)
  expect((await world.fingerprint()).schema).toBe(before)
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('a migration that commits half of its work behind the closed gate is restored, and what it wrote is kept', async () => {
  await run({ migrations: HALF })
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
  const quarantine = (await world.siblings()).find((name) => name.includes('__q_'))
  expect(quarantine).toBeDefined()
  expect(ending.database).toContain(quarantine)
  const columns = `select column_name from information_schema.columns where table_name = 'orders' and column_name = 'half_applied'`
  expect(await world.rows(columns)).toHaveLength(0)
  await world.rows(`select 1`)
  await world.quiet()
  const { rows: manifest } = {
    rows: await world.journal<{ manifest: { fingerprint: { schema: string } } }>('select manifest from {s}.backups'),
  }
  expect((await world.fingerprint()).schema).toBe(manifest[0]?.manifest.fingerprint.schema)
  expect(await world.lost()).toEqual([])
})

test('with the gate open a half-committed release is not restored: the committed prefix stays, no write is lost', async () => {
  await run({ withoutService: true, migrations: { ...EXPAND, '0003_fails.sql': 'select 1 / 0' } })
  const oid = await world.oid()
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect(ending.database).toContain('0002_add_note')
  expect(await world.oid()).toBe(oid)
  expect(world.consumer.state).toBe('running')
  await world.quiet()
  expect(await world.rows('select n from stock')).toHaveLength(world.consumer.processed)
})

test('with the gate open a contract migration that fails in its transaction is no point of no return: deferred', async () => {
  await run({ withoutService: true, migrations: { ...EXPAND, '0003_fails.contract.sql': 'select 1 / 0' } })
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'deferred', exit: 7, cause: 'fault' })
  expect(await world.journal('select name from {s}.runs where contract_started_at is not null')).toEqual([])
  expect(world.consumer.state).toBe('running')
})

test('with the gate open a migration that left a part of its work is for a person, and consumers stay paused', async () => {
  await run({ withoutService: true, migrations: HALF })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'needs-operator', exit: 6, consumers: 'still paused' })
  expect(world.consumer.state).toBe('paused')
  expect(await world.journal(`select name from {s}.runs where state = 'open'`)).toHaveLength(1)
})

test('a smoke test that fails after the new service wrote rows brings the previous image back and keeps the rows', async () => {
  await run({
    migrations: EXPAND,
    configuration: { smoke: [{ name: 'nobody home', http: 'http://127.0.0.1:4/health', within: '1s' }] },
  })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect(await world.serving()).toBe('1')
  await world.quiet()
  expect(await world.rows(`select 1 from orders where written_by = '2'`)).not.toHaveLength(0)
  expect(await world.lost()).toEqual([])
  expect(await world.rows(`select version from headgate_migrations where version = '0002_add_note'`)).toHaveLength(1)
})

test('a rejected contract stage ends deferred: the new image runs on the expanded schema', async () => {
  await run({ migrations: { ...EXPAND, ...CONTRACT } })
  await world.start()
  const waiting = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('reject', {
    args: [{ by: 'ben', digest: waiting.digest, reason: 'not on a Friday' }],
  })
  expect(await world.ending()).toMatchObject({ outcome: 'deferred', exit: 7, reason: 'rejected by ben' })
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
})

test('a damaged dump is not restored from: a person is told, consumers stay paused, and `recover` ends the run', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-dumps-'))
  await run({ migrations: HALF, configuration: { backup: { kind: 'dump', to: `file://${folder}` } } })
  const damage = async (): Promise<void> => {
    const root = join(folder, world.project, 'staging')
    const [name = ''] = await readdir(root)
    const [file = ''] = (await readdir(join(root, name))).filter((one) => one.endsWith('.dat.gz'))
    const path = join(root, name, file)
    const bytes = await readFile(path)
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 0xff
    await writeFile(path, bytes)
  }
  await world.release('2', {
    '0002_half.sql': HALF['0002_half.sql'].replace('update orders set', () => `${HELD}; update orders set`),
  })
  await world.start()
  await untilHeld(world.database.name)
  await damage()
  await goOn(world.database.name)
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({
    outcome: 'needs-operator',
    exit: 6,
    consumers: 'still paused',
  })
  expect(world.consumer.state).toBe('paused')
  const refused = await world.start()
  expect(await world.ending(refused)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(world.consumer.state).toBe('paused')
  const recovery = await world.start('recover', { recover: { choice: 'accept' } })
  // Half of a migration is in the database: nobody can prove more than that a person took it as it is.
  expect(await world.ending(recovery)).toMatchObject({
    outcome: 'needs-operator',
    exit: 0,
    consumers: 'as before the run',
  })
  expect(world.consumer.state).toBe('running')
  expect(await world.serving()).toBe('1')
  expect(await world.journal(`select name from {s}.runs where state = 'open'`)).toHaveLength(0)
})

test('a consumer that answers 200 to pause and keeps writing stops the run before anything is migrated', async () => {
  await run({ migrations: EXPAND, consumerLies: true })
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'aborted', exit: 5 })
  expect(ending.reason).toContain('stock')
  expect(await world.rows('select version from headgate_migrations')).toEqual([{ version: '0001_orders' }])
  expect(await world.serving()).toBe('1')
})

test('a cancel during the migration ends its backend before anything is put back', async () => {
  await run({ migrations: { '0002_slow.sql': 'alter table orders add column note text; select pg_sleep(60)' } })
  await world.start()
  await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  await world.rows('select pg_sleep(1)')
  await world.handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'aborted', exit: 7, cause: 'person' })
  expect(
    await world.rows(
      `select pid from pg_stat_activity where application_name like 'hg:%' and datname = '${world.database.name}'`,
    ),
  ).toEqual([])
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

test('nothing pending and the same tag: nobody is paused, exit 0', async () => {
  await run({ migrations: {} })
  const first = await world.start()
  expect(await world.ending(first)).toMatchObject({ outcome: 'succeeded' })
  const ending = await world.ending(await world.start())
  expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0, reason: 'nothing to do' })
  expect(ending.lines.map(({ step }) => step)).toEqual(['plan', 'preflight', 'report'])
})

test('a dump of everything can be taken, and put in place again with what is live kept as quarantine', async () => {
  await run({ migrations: EXPAND })
  expect(await world.ending(await world.start('backup', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  const [taken] = await world.journal<{ name: string; kind: string }>('select name, kind from {s}.backups')
  expect(taken?.kind).toBe('dump')
  await world.rows(`update orders set item = 'stolen'`)
  const ending = await world.ending(await world.start('restore', { backup: taken?.name }))
  expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
  const [aside = ''] = (await world.siblings()).filter((name) => name.includes('__q_'))
  const inPlace = new RegExp(
    `^${taken?.name}, the state of .* UTC, was swapped in; what was live until then is kept in`,
  )
  expect(ending.database).toMatch(inPlace)
  expect(ending.database).toContain(`database ${aside}`)
  expect(ending.lines.find(({ step }) => step === 'restore-backup')?.note).toBe(ending.database)
  expect(await world.rows(`select 1 from orders where item = 'stolen' and written_by = 'seed'`)).toHaveLength(0)
  await world.quiet()
  expect(
    await world.lost([world.database.name, ...(await world.siblings()).filter((name) => name.includes('__q_'))]),
  ).toEqual([])
  expect(fingerprintDifferences(await world.fingerprint(), await world.fingerprint())).toEqual([])
})

test('`rollback` brings the previous image back on the schema as it is', async () => {
  await run({ migrations: EXPAND })
  expect(await world.ending(await world.start())).toMatchObject({ outcome: 'succeeded' })
  expect(await world.serving()).toBe('2')
  expect(await world.ending(await world.start('rollback', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBe('1')
  expect(await world.rows(`select version from headgate_migrations`)).toHaveLength(2)
})
