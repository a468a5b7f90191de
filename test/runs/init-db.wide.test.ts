import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { withSession } from '../../src/adapters/postgres/session.js'
import { targetUrl, withDatabase } from '../../src/adapters/postgres/target.js'
import { ALEMBIC, FIRST, NOTE, writeAlembic } from '../support/alembic-release.js'
import { withControl } from '../support/test-database.js'
import { World } from '../support/world.js'

/** The test's own fresh database, beside the world's. */
const DATABASE = 'fresh_shop'
const MIGRATIONS = {
  '0002_items.sql': 'create table items (id int primary key)',
  '0003_price.contract.sql': 'alter table items add column price int',
}

const TOOL = fileURLToPath(new URL('../support/run-sql.mjs', import.meta.url))
const sql = (text: string): string => `"${process.execPath}" "${TOOL}" "${text}"`
/** Dies in the middle where its worker does. */
const SLOW = `${sql('create table half (id int)')}; touch began; sleep 2; ${sql('create table whole (id int)')}`

let world: World
afterEach(async () => {
  await withControl((control) => control.query(`drop database if exists ${DATABASE} with (force)`))
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})
const init = (...words: string[]): ReturnType<World['typed']> => world.typed('init-db', 'fresh', '--tag', '2', ...words)
const rows = <T extends object>(sql: string): Promise<T[]> =>
  withSession(
    withDatabase(world.database.target, DATABASE),
    { applicationName: 'test look' },
    async (session) => (await session.query<T>(sql)).rows,
  )
const oid = async (): Promise<unknown> =>
  withControl(
    async (control) => (await control.query('select oid from pg_database where datname = $1', [DATABASE])).rows,
  )

const beside = async (): Promise<unknown[]> =>
  withControl(
    async (control) =>
      (await control.query(`select datname from pg_database where datname like '${DATABASE}\\_\\_%'`)).rows,
  )

async function freshWorld(migrator: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Promise<void> {
  world = await World.create({ migrations: MIGRATIONS })
  const url = targetUrl(withDatabase(world.database.target, DATABASE))
  await writeFile(
    join(world.folder, 'headgate.yaml'),
    JSON.stringify({
      name: world.project,
      heartbeat: '3s',
      journal: {
        url: targetUrl(withDatabase(world.database.target, 'headgate')),
        schema: world.project.replaceAll('-', '_'),
      },
      migrator: { kind: 'umzug', dir: 'releases/{tag}', ...migrator },
      environments: { fresh: { url, ...more } },
    }),
  )
  await world.startWorker()
}

test('where there is no database the release`s migrations make one, and a deploy has nothing left to do', async () => {
  await freshWorld()
  const made = await init()
  expect(made, made.text).toMatchObject({ exit: 0 })
  expect(made.text).toContain('migrated from the first, 3 versions in the ledger')
  expect(await rows('select version from headgate_migrations')).toHaveLength(3)
  const info = await world.typed('info', 'fresh', '--tag', '2')
  expect(info.text).not.toContain('/pending')
  const again = await init()
  expect(again, again.text).toMatchObject({ exit: 4 })
  expect(again.text).toContain('it is not fresh')
  const { runs } = JSON.parse((await world.typed('history', 'fresh', '-o', 'json')).stdout)
  expect(runs[0]).toMatchObject({ kind: 'init-db', outcome: 'succeeded' })
})

test('the team`s own command makes the schema, and Alembic`s history is stamped; in an empty database what an operator put there stays', async () => {
  const config = {
    kind: 'alembic',
    config: 'releases/{tag}/alembic.ini',
    command: [ALEMBIC],
    init: ['../../bin/create-all', '{tag}'],
  }
  await freshWorld(config)
  await writeAlembic(join(world.folder, 'releases', '2'), [FIRST, NOTE])
  await world.script('create-all', sql('create table made_of_release_$1 (id int)'))
  await withControl((control) => control.query(`create database ${DATABASE} connection limit 17`))
  await rows('create schema tools')
  const made = await init()
  expect(made, made.text).toMatchObject({ exit: 0 })
  expect(await rows('select version_num from alembic_version')).toEqual([{ version_num: 'b2' }])
  expect(await rows(`select to_regclass('made_of_release_2') is not null as made`)).toEqual([{ made: true }])
  expect(await rows(`select from pg_namespace where nspname = 'tools'`)).toHaveLength(1)
  expect(await rows(`select datconnlimit as n from pg_database where datname = current_database()`)).toEqual([
    { n: 17 },
  ])
})

test('one that is replaced is shut meanwhile, its settings count from the first statement, and a cancel opens it again', async () => {
  await freshWorld({ init: ['./bin/create-all'] })
  await world.script('create-all', 'touch began; sleep 30')
  await withControl((control) => control.query(`create database ${DATABASE}`))
  await rows('create schema app')
  await withControl((control) => control.query(`alter database ${DATABASE} set search_path = app`))
  const before = await oid()
  const made = init()
  while (!existsSync(join(world.folder, 'began'))) await pause(20)
  await expect(rows('create table of_somebody ()')).rejects.toThrow('not currently accepting connections')
  const cancelled = await world.typed('cancel', 'fresh')
  expect(cancelled, cancelled.text).toMatchObject({ exit: 0 })
  expect(await made).toMatchObject({ exit: 7 })
  expect(await oid()).toEqual(before)
  expect(await rows('select 1 as one')).toEqual([{ one: 1 }])
  expect(await beside()).toEqual([])

  await world.script('create-all', sql('create table things (id int)'))
  const again = await init()
  expect(again, again.text).toMatchObject({ exit: 0 })
  expect(await rows(`select to_regclass('app.things') is not null as there`)).toEqual([{ there: true }])
})

test('a cancel that comes once the fresh database is in place comes too late', async () => {
  await freshWorld()
  const made = init()
  while (
    (await withControl(
      async (control) => (await control.query('select from pg_database where datname = $1', [DATABASE])).rowCount,
    )) === 0
  )
    await pause(5)
  await world.temporal.workflow
    .getHandle(`headgate/${world.project}/fresh`)
    .cancel()
    .catch(() => {})
  const { exit, text } = await made
  expect({ exit, text }).toMatchObject({ exit: 0 })
  expect(await rows('select from items')).toEqual([])
})

test('a command that fails leaves everything as it was: no database, and none beside', async () => {
  await freshWorld({ init: ['false'] })
  const failed = await init()
  expect(failed, failed.text).toMatchObject({ exit: 5 })
  expect(await oid()).toEqual([])
})

test('a command that makes nothing where it was told to has failed: its migrations are not marked', async () => {
  await freshWorld({ init: ['true'] })
  const failed = await init()
  expect(failed, failed.text).toMatchObject({ exit: 5 })
  expect(failed.text).toContain('init made nothing in the database')
  expect(await oid()).toEqual([])
})

test('--drop drops what is there, once somebody has said its name; nobody may be in it, and a protected environment keeps its own', async () => {
  await freshWorld({}, {})
  await withControl((control) => control.query(`create database ${DATABASE}`))
  await rows('create table old_things (id int)')
  const refused = await init()
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  expect(refused.text).toContain('has 1 object')
  expect(await init('--drop')).toMatchObject({ exit: 1 })
  const said = ['--drop', '--yes', '--confirm-database', DATABASE]
  await withSession(withDatabase(world.database.target, DATABASE), { applicationName: 'their psql' }, async () => {
    const busy = await init(...said)
    expect(busy, busy.text).toMatchObject({ exit: 4 })
    expect(busy.text).toContain('their psql')
  })
  const made = await init(...said)
  expect(made, made.text).toMatchObject({ exit: 0 })
  expect(await rows(`select to_regclass('old_things') as old, to_regclass('items') is not null as items`)).toEqual([
    { old: null, items: true },
  ])
})

test('is never said to a protected environment', async () => {
  await freshWorld({}, { protected: true, approval: 'none' })
  await withControl((control) => control.query(`create database ${DATABASE}`))
  const refused = await init('--drop', '--yes', '--confirm-database', DATABASE)
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  expect(refused.text).toContain('is protected')
})

test('a worker that dies in the middle: another one begins anew, beside, and nothing is left over', async () => {
  await freshWorld({ init: ['./bin/create-all'] })
  await world.script('create-all', SLOW)
  const made = init()
  while (!existsSync(join(world.folder, 'began'))) await pause(20)
  world.workers[0]?.kill('SIGKILL')
  expect(await oid()).toEqual([])
  await world.startWorker()
  const { exit, text } = await made
  expect({ exit, text }).toMatchObject({ exit: 0 })
  expect(
    await rows(`select to_regclass('half') is not null as half, to_regclass('whole') is not null as whole`),
  ).toEqual([{ half: true, whole: true }])
  expect(await beside()).toEqual([])
})

test('a workflow that is terminated in the middle leaves no database, and no run that waits', async () => {
  await freshWorld({ init: ['./bin/create-all'] })
  await world.script('create-all', SLOW)
  const made = init()
  while (!existsSync(join(world.folder, 'began'))) await pause(20)
  await world.temporal.workflow.getHandle(`headgate/${world.project}/fresh`).terminate('somebody did')
  await made
  const ended = `select outcome from {s}.runs where state = 'ended'`
  while ((await world.journal(ended)).length === 0) await pause(100)
  expect(await world.journal(ended)).toEqual([{ outcome: 'aborted' }])
  expect(await oid()).toEqual([])
  expect(await beside()).toEqual([])
})
