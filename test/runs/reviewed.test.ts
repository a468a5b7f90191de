import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { ALEMBIC, ALEMBIC_LEDGER, FIRST, OFFLINE_ENV_PY, writeAlembic } from '../support/alembic-release.js'
import { targetUrl } from '../../src/adapters/postgres/target.js'
import { World } from '../support/world.js'

const DROP = 'alter table orders drop column note'
const release = (sql: string): Record<string, string> => ({ '0002_note.sql': sql })

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

const begun = async (sql: string, level: string): Promise<void> => {
  world = await World.create({
    migrations: release(sql),
    schema: 'alter table orders add column note text',
    configuration: { lint: { level } },
    writesLate: true,
  })
  await world.startWorker()
}

test('what breaks the image that runs is told by the plan, and keeps the run from beginning, until it is waived with a reason', async () => {
  await begun(DROP, 'stop')
  const before = await world.snapshot()
  const plan = await world.typed('plan', 'staging', '--tag', '2')
  expect(plan, plan.text).toMatchObject({ exit: 4 })
  expect(plan.text).toContain('lock     orders ACCESS EXCLUSIVE, for a moment')
  expect(plan.text).toContain('stop     line 1: column note of orders is dropped while the previous image runs')
  expect(plan.text).toContain('instead: mark the migration headgate:phase=contract')
  const refused = await world.typed('deploy', 'staging', '--tag', '2')
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  expect(refused.text).toContain('E136')
  expect(refused.text).toContain('0002_note, line 1: column note of orders is dropped')
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await world.journal('select name from {s}.runs')).toEqual([])

  await world.release('2', release(`-- headgate:waive breaks-previous-image: nobody reads it\n${DROP}`))
  const waived = await world.typed('plan', 'staging', '--tag', '2')
  expect(waived, waived.text).toMatchObject({ exit: 0 })
  expect(waived.text).toContain('(breaks-previous-image): nobody reads it')
  expect(await world.typed('deploy', 'staging', '--tag', '2')).toMatchObject({ exit: 0 })
  const [run] = await world.journal<{ name: string }>('select name from {s}.runs')
  expect((await world.typed('report', run?.name ?? '')).text).toContain('waived: nobody reads it')
})

test('a file of more than 64 KiB is reviewed, one of more than 1 MiB is told not to be', async () => {
  const comment = (bytes: number): string => `-- ${'x'.repeat(97)}\n`.repeat(bytes / 100)
  await begun(`${comment(100_000)}${DROP}`, 'stop')
  const plan = await world.typed('plan', 'staging', '--tag', '2')
  expect(plan, plan.text).toMatchObject({ exit: 4 })
  expect(plan.text).toMatch(/stop +line \d+: column note of orders is dropped/)
  expect(plan.text).toContain('its SQL cannot be shown')
  await world.release('2', release(`${comment(1_100_000)}${DROP}`))
  const unread = await world.typed('plan', 'staging', '--tag', '2')
  expect(unread, unread.text).toMatchObject({ exit: 0 })
  expect(unread.text).toMatch(
    /warn +line 1: its SQL cannot be had: it is 1\.1 MB long, and up to 1\.0 MB are read \(not-read\)/,
  )
})

test('a review that fails keeps plan and run from going on where findings stop them, and is told of where they only warn', async () => {
  const environment: Record<string, unknown> = {}
  world = await World.create({
    ...{ migrations: release('alter table orders add column more text'), environment, writesLate: true },
    configuration: { lint: { level: 'stop' } },
  })
  const reader = `${world.database.name}_reader`
  await world.rows(`create role ${reader} login; revoke select on pg_constraint from public`)
  Object.assign(environment, { urls: { backup: targetUrl({ ...world.database.target, user: reader }) } })
  await world.configure({ lint: { level: 'stop' } })
  await world.startWorker()
  const why = 'the migrations could not be reviewed: permission denied for table pg_constraint'
  const plan = await world.typed('plan', 'staging', '--tag', '2')
  expect(plan, plan.text).toMatchObject({ exit: 4 })
  expect(plan.text).toContain(`not read   0002_note: ${why}`)
  const refused = await world.typed('deploy', 'staging', '--tag', '2')
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  expect(refused.text).toContain('E136')
  expect(refused.text).toContain(why)
  expect(await world.journal('select name from {s}.runs')).toEqual([])
  await world.configure({ lint: { level: 'warn' } })
  const warned = await world.typed('plan', 'staging', '--tag', '2')
  expect(warned, warned.text).toMatchObject({ exit: 0 })
  expect(warned.text).toContain(why)
})

test('where findings only warn the run begins, and its report tells of them', async () => {
  await begun(DROP, 'warn')
  expect(await world.typed('plan', 'staging', '--tag', '2')).toMatchObject({ exit: 0 })
  expect(await world.typed('deploy', 'staging', '--tag', '2')).toMatchObject({ exit: 0 })
  const [run] = await world.journal<{ name: string }>('select name from {s}.runs')
  expect((await world.typed('report', run?.name ?? '')).text).toContain('column note of orders is dropped')
})

test('Alembic: a name that is never imported is found in the plan and stops the run, whatever an old revision reads', async () => {
  const reads = { revision: 'b2', after: 'a1', sql: ['select 1'] }
  const named = { revision: 'c3', after: 'b2', sql: ['select 2'] }
  const last = { revision: 'd4', after: 'c3', sql: ['alter table orders add column x int'] }
  world = await World.create({
    migrations: {},
    schema: ALEMBIC_LEDGER.replace(`'a1'`, `'b2'`),
    configuration: {
      migrator: { kind: 'alembic', config: 'releases/{tag}/alembic.ini', command: [ALEMBIC] },
      lint: { level: 'stop' },
    },
    writesLate: true,
  })
  const folder = join(world.folder, 'releases', '2')
  await writeAlembic(folder, [FIRST, reads, named, last], OFFLINE_ENV_PY)
  const rewrite = async (revision: string, by: string): Promise<void> => {
    const path = join(folder, 'alembic', 'versions', `${revision}.py`)
    await writeFile(path, (await readFile(path, 'utf8')).replace(/op\.execute\(.*\)/, by))
  }
  await rewrite('b2', `op.get_bind().execute('select 1').fetchall()`)
  await rewrite('c3', `op.add_column('orders', Text())`)
  await world.startWorker()
  const before = await world.snapshot()
  const plan = await world.typed('plan', 'staging', '--tag', '2')
  expect(plan, plan.text).toMatchObject({ exit: 4 })
  expect(plan.text).toMatch(/stop +line 10: it fails: NameError: name 'Text' is not defined.* \(missing-name\)/)
  expect(plan.text).toContain('alter table orders add column x int')
  expect(plan.text).toContain('not read   c3: their SQL cannot be had')
  const refused = await world.typed('deploy', 'staging', '--tag', '2')
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  expect(refused.text).toContain('E136')
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('Alembic: a value that a later revision of the same transaction uses, and an enum that a way down leaves, are found in the plan', async () => {
  const mood = { revision: 'b2', after: 'a1', sql: [`create type mood as enum ('good')`], down: ['select 1'] }
  const added = { revision: 'c3', after: 'b2', sql: [`alter type color add value 'red'`], down: ['select 2'] }
  const used = {
    revision: 'd4',
    after: 'c3',
    sql: [`update orders set item = 'x' where 'red'::color is null`],
    down: ['select 3'],
  }
  world = await World.create({
    migrations: {},
    schema: `create type color as enum ('blue'); ${ALEMBIC_LEDGER}`,
    configuration: { migrator: { kind: 'alembic', config: 'releases/{tag}/alembic.ini', command: [ALEMBIC] } },
    writesLate: true,
  })
  await writeAlembic(join(world.folder, 'releases', '2'), [FIRST, mood, added, used], OFFLINE_ENV_PY)
  await world.startWorker()
  const plan = await world.typed('plan', 'staging', '--tag', '2')
  expect(plan, plan.text).toMatchObject({ exit: 0 })
  expect(plan.text).toContain('type mood is not dropped on the way down')
  expect(plan.text).toContain(`'red' was added to an enum in the same transaction`)
})
