import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { World, type WorldOptions } from '../support/world.js'

/** Everything that a restored database has to get back, beside its rows. */
const RICH = `
  do $$ begin create role keeper; exception when duplicate_object or unique_violation then null; end $$;
  select lo_from_bytea(4711, decode(repeat('00ff10', 5000), 'hex'));
  alter large object 4711 owner to keeper; grant select on large object 4711 to public; comment on large object 4711 is 'a picture';
  grant select on orders to keeper; create sequence ticket start 100 increment 5; select nextval('ticket');
  create view cakes as select * from orders where item = 'cake'; create index orders_item on orders (item);
  alter database :db set work_mem = '5MB'; alter role keeper in database :db set statement_timeout = '1min';
  comment on database :db is 'it''s "production"'; alter database :db connection limit 77;
  revoke temporary on database :db from public; grant create on database :db to keeper`

const TRANSACTIONAL = {
  '0002_fails.sql': `alter table orders add column note text; select nextval('ticket'); select 1 / 0`,
}
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    alter table orders add column half_applied boolean;
    update orders set half_applied = true, item = 'eaten';
    drop index orders_item;
    select nextval('ticket');
    select lo_unlink(4711);
    create unique index concurrently on orders (item)`,
}
const INVALID_INDEX = {
  '0002_unique.sql': '-- headgate:no-transaction\ncreate unique index concurrently once on orders (item)',
}
const WELL = { '0002_add_note.sql': 'alter table orders add column note text' }
const dump = (): Record<string, unknown> => ({ backup: { kind: 'dump' } })

interface Case {
  title: string
  options: Omit<WorldOptions, 'schema' | 'writesLate'>
  spoil?: (world: World) => Promise<void>
  ends: { outcome: 'aborted' | 'restored'; exit: number }
  says: RegExp
  /** Whether the database is the same one still, or another in its place. */
  sameDatabase: boolean
}

const CASES: Case[] = [
  {
    title: 'a transactional migration that fails, where no sequence moved',
    options: { migrations: { '0002_fails.sql': 'alter table orders add column note text; select 1 / 0' } },
    ends: { outcome: 'aborted', exit: 5 },
    says: /division by zero/,
    sameDatabase: true,
  },
  {
    title: 'a transactional migration that fails and moved a sequence, which no rollback moves back',
    options: { migrations: TRANSACTIONAL },
    ends: { outcome: 'restored', exit: 5 },
    says: /division by zero/,
    sameDatabase: false,
  },
  {
    title: 'a migration that committed half of its work, from the clone',
    options: { migrations: HALF },
    ends: { outcome: 'restored', exit: 5 },
    says: /unique/,
    sameDatabase: false,
  },
  {
    title: 'a migration that committed half of its work, from the dump',
    options: { migrations: HALF, configuration: dump() },
    ends: { outcome: 'restored', exit: 5 },
    says: /unique/,
    sameDatabase: false,
  },
  {
    title: 'an index that could not be built and was left invalid',
    options: { migrations: INVALID_INDEX },
    ends: { outcome: 'aborted', exit: 5 },
    says: /once|unique/,
    sameDatabase: true,
  },
  {
    title: 'a migration that worked and a check that did not agree',
    options: {
      migrations: WELL,
      configuration: { verify: [{ name: 'no orders', sql: 'select count(*) from orders', expect: 0 }] },
    },
    ends: { outcome: 'restored', exit: 5 },
    says: /no orders/,
    sameDatabase: false,
  },
  {
    title: 'a service that cannot be stopped',
    options: { migrations: WELL },
    spoil: (world) => world.script('stop', 'echo "it hangs on" >&2; exit 1'),
    ends: { outcome: 'aborted', exit: 5 },
    says: /api/,
    sameDatabase: true,
  },
  {
    title: 'a backup that cannot be written',
    options: { migrations: WELL, configuration: { backup: { kind: 'dump', to: 'file:///dev/null/backups' } } },
    ends: { outcome: 'aborted', exit: 4 },
    says: /dev\/null/,
    sameDatabase: true,
  },
  {
    title: 'a new image that cannot be deployed for want of its tag',
    options: { migrations: WELL },
    spoil: (world) => world.script('exists', 'test "$1" = 1'),
    ends: { outcome: 'aborted', exit: 4 },
    says: /tag 2 does not exist/,
    sameDatabase: true,
  },
]

let world: World
afterEach(() => world?.end())

async function quietWorld(options: WorldOptions): Promise<World> {
  world = await World.create({ ...options, schema: RICH, writesLate: true })
  return world
}

test.each(CASES)('nothing is different after $title', async ({ options, spoil, ends, says, sameDatabase }) => {
  await quietWorld(options)
  await spoil?.(world)
  const before = await world.snapshot()
  const oid = await world.oid()
  await world.startWorker()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending, null, 1)).toMatchObject(ends)
  expect(ending.reason).toMatch(says)
  expect(differences(before, await world.snapshot())).toEqual([])
  expect((await world.oid()) === oid).toBe(sameDatabase)
  const { left, quarantines } = await world.leftOvers()
  expect(left).toEqual([])
  expect(quarantines).toHaveLength(sameDatabase ? 0 : 1)
})

test('nothing is different after a cancel during the migration', async () => {
  await quietWorld({
    migrations: { '0002_slow.sql': `alter table orders add column note text; select pg_sleep(60)` },
  })
  const before = await world.snapshot()
  await world.startWorker()
  await world.start()
  await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  await expect
    .poll(() => world.rows(`select 1 from pg_stat_activity where query like '%pg_sleep(60)%'`))
    .not.toEqual([])
  await world.handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
  expect(await world.ending()).toMatchObject({ outcome: 'aborted', exit: 7 })
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await world.leftOvers()).toMatchObject({ left: [], quarantines: [] })
})

test('nothing is different after a rejection before anything ran', async () => {
  await quietWorld({ migrations: WELL, configuration: { approval: { before: ['expand'] } } })
  const before = await world.snapshot()
  await world.startWorker()
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  expect(differences(before, await world.snapshot())).toEqual([])
  await world.handle.executeUpdate('reject', { args: [{ by: 'ben', digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'aborted', exit: 7 })
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await world.leftOvers()).toEqual({ left: [], quarantines: [], clones: [] })
})

test('what a person had paused and stopped before the run is so after it', async () => {
  await quietWorld({ migrations: HALF })
  world.consumer.state = 'paused'
  await rm(join(world.folder, 'running'))
  const before = await world.snapshot()
  await world.startWorker()
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test.each([
  ['consumer stock', { consumers: {} }],
  ['service api', { services: {} }],
])(
  'nothing is different where %s was taken out of headgate.yaml: during the wait the plan is asked for again, after the approval the run ends',
  async (what, changes) => {
    await quietWorld({ migrations: WELL, configuration: { approval: { before: ['expand'] } } })
    const before = await world.snapshot()
    await world.startWorker()
    await world.start()
    const { digest } = await world.until(({ state }) => state === 'waiting')
    await world.configure(changes)
    await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
    const again = await world.until((state) => state.state === 'waiting' && state.digest !== digest)
    await world.configure({})
    await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest: again.digest }] })
    const asBefore = await world.until((state) => state.state === 'waiting' && state.digest !== again.digest)
    await world.handle.executeUpdate('hold', { args: [{ by: 'ben', now: true }] })
    await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest: asBefore.digest }] })
    await world.until(({ state }) => state === 'held')
    await world.configure(changes)
    await world.handle.executeUpdate('continue', { args: [{ by: 'ben' }] })
    const ending = await world.ending()
    expect(ending).toMatchObject({ outcome: 'aborted', exit: 4 })
    expect(ending.reason).toBe(`the plan has ${what}, headgate.yaml has not any more`)
    expect(differences(before, await world.snapshot())).toEqual([])
    expect(await world.leftOvers()).toEqual({ left: [], quarantines: [], clones: [] })
  },
)
