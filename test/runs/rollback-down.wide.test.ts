import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { withControl } from '../support/test-database.js'
import { World, type WorldOptions } from '../support/world.js'

const RELEASE = {
  '0002_note.sql': 'alter table orders add column note text',
  '0002_note.down.sql': 'alter table orders drop column note',
  '0003_price.sql': 'alter table orders add column price int',
  '0003_price.down.sql': 'alter table orders drop column price',
  '0004_item.contract.sql': 'alter table orders alter column item drop not null',
  '0004_item.down.sql': 'alter table orders alter column item set not null',
}

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})
const down = (...words: string[]): ReturnType<World['typed']> =>
  world.typed('rollback', 'staging', '--yes', '--down-to', ...words)
const columns = async (): Promise<string[]> =>
  (
    await world.rows<{ name: string }>(
      `select attname as name from pg_attribute where attrelid = 'orders'::regclass and attnum > 4 and not attisdropped order by 1`,
    )
  ).map(({ name }) => name)

async function deployed(
  migrations: Record<string, string> = RELEASE,
  options: Partial<WorldOptions> = {},
): Promise<void> {
  world = await World.create({ migrations, ...options, configuration: { approval: 'none', ...options.configuration } })
  await world.startWorker()
  const ended = await world.typed('deploy', 'staging', '--tag', '2')
  expect(ended, ended.text).toMatchObject({ exit: 0 })
}

async function proven(): Promise<void> {
  await world.quiet()
  expect(await world.lost()).toEqual([])
}

test('the mirror image of a deploy: what contract migrations took, the image of then, what expand migrations brought; then up again', async () => {
  await deployed()
  const plan = await world.typed('plan', 'staging', '--down-to', '0001_orders')
  expect(plan, plan.text).toMatchObject({ exit: 0 })
  expect(plan.text).toContain('stage 1    take back contract, 1 migration down to 0003_price, then the previous image')
  expect(plan.text).toContain('stage 2    take back expand, 2 migrations down to 0001_orders')
  expect(plan.text).toContain('alter table orders drop column price')
  const digest = /digest {5}(\w+)/.exec(plan.text)?.[1] ?? ''
  expect(await world.versions()).toHaveLength(4)

  const unasked = await world.typed('rollback', 'staging', '--down-to', '0001_orders')
  expect(unasked, unasked.text).toMatchObject({ exit: 1 })
  expect(unasked.text).toContain('alter table orders drop column price')
  expect(unasked.text).toContain('add --yes, or the --digest of its plan')
  const back = await world.typed('rollback', 'staging', '--down-to', '0001_orders', '--digest', digest)
  expect(back, back.text).toMatchObject({ exit: 0 })
  expect(back.text).toContain('down to 0001_orders, verified')
  expect(await world.versions()).toEqual(['0001_orders'])
  expect(await columns()).toEqual([])
  expect(await world.serving()).toBe('1')
  const [run] = await world.journal<{ name: string; kind: string; outcome: string }>(
    'select * from {s}.runs order by started_at desc limit 1',
  )
  expect(run).toMatchObject({ kind: 'rollback', outcome: 'succeeded' })
  const report = await world.typed('report', run?.name ?? '')
  expect(report.text).toContain('headgate rollback staging --down-to 0001_orders --tag 2')

  const again = await down('0001_orders')
  expect(again, again.text).toMatchObject({ exit: 0 })
  expect(again.text).toContain('nothing to do')
  const up = await world.typed('deploy', 'staging', '--tag', '2')
  expect(up, up.text).toMatchObject({ exit: 0 })
  expect(await columns()).toEqual(['note', 'price'])
  expect(await world.serving()).toBe('2')
  await proven()
})

test('where only contract migrations are taken back the image stays: it runs on what they took', async () => {
  await deployed()
  const back = await down('0003_price')
  expect(back, back.text).toMatchObject({ exit: 0 })
  expect(await world.versions()).toEqual(['0001_orders', '0002_note', '0003_price'])
  expect(await world.serving()).toBe('2')
  await proven()
})

test('a way down that fails puts the database back; the image of then runs on it, and what is left to do is said', async () => {
  await deployed({ ...RELEASE, '0002_note.down.sql': 'alter table orders drop column nothing_like_it' })
  const back = await down('0001_orders')
  expect(back, back.text).toMatchObject({ exit: 7 })
  expect(back.text).toContain('nothing_like_it')
  expect(back.text).toContain('equal to before stage 2')
  expect(await world.versions()).toEqual(['0001_orders', '0002_note', '0003_price'])
  expect(await columns()).toEqual(['note', 'price'])
  expect(await world.serving()).toBe('1')
  await world.release('2', { ...RELEASE, '0002_note.down.sql': 'alter table orders drop column note' })
  const again = await down('0001_orders')
  expect(again, again.text).toMatchObject({ exit: 0 })
  expect(await columns()).toEqual([])
  await proven()
})

test('a worker that dies while it takes migrations back: another one goes on, and each is taken back once', async () => {
  await deployed({
    '0002_note.sql': 'create table log (what text); alter table orders add column note text',
    '0002_note.down.sql': `insert into log values ('note'); select pg_sleep(1.5); alter table orders drop column note`,
    '0003_price.sql': 'alter table orders add column price int',
    '0003_price.down.sql': `insert into log values ('price'); select pg_sleep(1.5); alter table orders drop column price`,
  })
  const back = down('0001_orders')
  const sleeping = `select from pg_stat_activity where datname = $1 and query like '%pg_sleep(1.5)%'`
  const isAsleep = (): Promise<boolean> =>
    withControl(async (session) => (await session.query(sleeping, [world.database.name])).rowCount === 1)
  while (!(await isAsleep())) await pause(50)
  world.workers[0]?.kill('SIGKILL')
  await world.startWorker()
  const { exit, text } = await back
  expect({ exit, text }).toMatchObject({ exit: 0 })
  expect(await world.versions()).toEqual(['0001_orders'])
  expect((await world.rows<{ what: string }>('select what from log order by 1')).map(({ what }) => what)).toEqual([
    'note',
    'price',
  ])
  await proven()
})

test('with writers at work what was taken back stays: the image of then runs on every step of the way', async () => {
  await deployed({ ...RELEASE, '0002_note.down.sql': 'select 1 / 0' }, { configuration: { quiesce: 'none' } })
  const back = await down('0001_orders')
  expect(back, back.text).toMatchObject({ exit: 7 })
  expect(back.text).toContain('the committed migrations are kept')
  expect(await world.versions()).toEqual(['0001_orders', '0002_note'])
  expect(await world.serving()).toBe('1')
  await proven()
})

test('a workflow that is terminated between the two stages: the run ends as deferred, as both were proven', async () => {
  await deployed()
  const back = down('0001_orders', '--detach')
  await back
  await world.until(({ step, run }) => run !== '' && step !== 'plan' && step !== 'preflight')
  await world.handle.executeUpdate('hold', { args: [{ by: 'ben' }] })
  await world.until(({ state }) => state === 'held')
  await world.handle.terminate('somebody did')
  const ended = `select outcome from {s}.runs where kind = 'rollback' and state = 'ended'`
  while ((await world.journal(ended)).length === 0) await pause(100)
  expect(await world.journal(ended)).toEqual([{ outcome: 'deferred' }])
  expect(await world.versions()).toEqual(['0001_orders', '0002_note', '0003_price'])
  expect(await world.serving()).toBe('1')
  const again = await down('0001_orders')
  expect(again, again.text).toMatchObject({ exit: 0 })
  await proven()
})

test('is refused where the team wants none, without a backup, without a way down, and to a version that is not applied', async () => {
  await deployed({
    ...RELEASE,
    '0002_note.down.sql': RELEASE['0002_note.down.sql'],
    '0003_one_way.sql': 'select 1',
    '0003_price.sql': 'select 2',
  })
  const oneWay = await down('0001_orders')
  expect(oneWay, oneWay.text).toMatchObject({ exit: 4 })
  expect(oneWay.text).toContain('there is no way down from 0003_one_way')
  const unknown = await down('0009_none')
  expect(unknown, unknown.text).toMatchObject({ exit: 4 })
  expect(unknown.text).toContain('0009_none is not applied')
  expect(await world.typed('rollback', 'staging', '--tag', '2')).toMatchObject({ exit: 1 })
  for (const [settings, said] of [
    [{ downgrades: 'refuse' }, 'downgrades: refuse'],
    [{ backup: false }, 'backup: false'],
  ] as const) {
    await world.configure({ approval: 'none', ...settings })
    const refused = await down('0001_orders')
    expect(refused, refused.text).toMatchObject({ exit: 4 })
    expect(refused.text).toContain(said)
  }
  await writeFile(join(world.folder, 'signers'), '')
  await world.configure({ approval: { allowedSigners: 'signers' } })
  const file = join(world.folder, 'headgate.yaml')
  await writeFile(file, (await readFile(file, 'utf8')).replace('    url:', '    protected: true\n    url:'))
  const plan = await world.typed('plan', 'staging', '--down-to', '0003_one_way')
  expect(plan, plan.text).toMatchObject({ exit: 0 })
  expect(plan.text).toContain('then the previous image; waits for approval')
  expect(await world.versions()).toHaveLength(5)
  expect(await world.serving()).toBe('2')
})
