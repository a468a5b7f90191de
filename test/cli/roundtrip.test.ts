import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ALEMBIC, mergeScript, type Revision, writeAlembic } from '../support/alembic-release.js'
import { headgate } from '../support/command-line.js'
import { HAS_SQLX, SQLX, writeSqlx } from '../support/sqlx-release.js'
import { createDatabase, type TestDatabase, withControl } from '../support/test-database.js'

let folder: string
let database: TestDatabase

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headgate-roundtrip-'))
  database = await createDatabase()
})
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true })
  expect(await scratch()).toEqual([])
})

const scratch = (): Promise<unknown[]> =>
  withControl(
    async (control) =>
      (await control.query(`select 1 from pg_database where datname like 'headgate\\_roundtrip\\_%'`)).rows,
  )

/** As in a pull request's job: nothing of the environment can be reached, and there is no Temporal. */
const typed = (migrator: string, ...words: string[]): ReturnType<typeof headgate> => {
  const file = `name: shop\nmigrator: ${migrator}\nenvironments:\n  staging:\n    url: \${env:NOT_SET_HERE}\n`
  writeFileSync(join(folder, 'headgate.yaml'), file)
  return headgate(['roundtrip', 'staging', ...words], folder, { TEMPORAL_ADDRESS: '127.0.0.1:1' })
}
const there = (): string[] => ['--url', database.url]

async function files(written: Record<string, string>): Promise<void> {
  await mkdir(join(folder, 'migrations'), { recursive: true })
  for (const [name, sql] of Object.entries(written)) writeFileSync(join(folder, 'migrations', name), sql)
}
const UMZUG = '{ kind: umzug }'
const ORDERS = { '1_orders.up.sql': 'create table orders (id int)', '1_orders.down.sql': 'drop table orders' }

test('a way down that puts everything back is told in one line, and the scratch database is gone', async () => {
  await files({
    ...ORDERS,
    '2_note.up.sql': `alter table orders add note text; insert into orders values (1, 'x')`,
    '2_note.down.sql': 'delete from orders; alter table orders drop note',
  })
  const newest = await typed(UMZUG, ...there())
  expect(newest, newest.text).toMatchObject({ exit: 0 })
  expect(newest.text).toContain('2_note: up, down and up again; nothing differs')
  expect(newest.text).not.toContain('1_orders:')
  const all = await typed(UMZUG, ...there(), '--all')
  expect(all, all.text).toMatchObject({ exit: 0 })
  expect(all.text).toContain('1_orders: up, down and up again; nothing differs')
})

test('what a way down leaves, and what applying it again changes, is listed, rows too', async () => {
  await files({
    ...ORDERS,
    '2_note.up.sql': `create type mood as enum ('good'); alter table orders add column if not exists note text; insert into orders (id) values (1)`,
    '2_note.down.sql': 'drop type mood',
  })
  const answer = await typed(UMZUG, ...there())
  expect(answer, answer.text).toMatchObject({ exit: 4 })
  expect(answer.text).toMatch(/2_note: differs\n +after its way down +column public\.orders\.note: added/)
  expect(answer.text).toMatch(/applied again +rows of public\.orders: was .*"rows":"1".* is .*"rows":"2"/)
})

test('a migration without a way down is told', async () => {
  await files({ '1_orders.sql': 'create table orders (id int)' })
  expect(await typed(UMZUG, ...there())).toMatchObject({
    exit: 4,
    text: expect.stringContaining('1_orders: has no way down'),
  })
})

test('a migration that fails leaves no scratch database, and says why', async () => {
  await files({ '1_orders.sql': 'create table orders (id no_such_type)' })
  const answer = await typed(UMZUG, ...there())
  expect(answer.exit).not.toBe(0)
  expect(answer.text).toContain('type "no_such_type" does not exist')
})

test('without a server it says how to name one', async () => {
  await files(ORDERS)
  expect(await typed(UMZUG)).toMatchObject({ exit: 1, text: expect.stringContaining('HEADGATE_SCRATCH_URL') })
})

test('an Alembic downgrade that forgets the enum is found', async () => {
  await writeAlembic(folder, [
    { revision: 'a1', sql: ['create table orders (id int)'], down: ['drop table orders'] },
    {
      revision: 'b2',
      after: 'a1',
      sql: [`create type mood as enum ('good')`, 'alter table orders add mood mood'],
      down: ['alter table orders drop mood'],
    },
  ])
  const answer = await typed(`{ kind: alembic, command: ["${ALEMBIC}"] }`, ...there())
  expect(answer, answer.text).toMatchObject({ exit: 4 })
  expect(answer.text).toMatch(
    /b2: it does not apply again: .*type "mood" already exists\n +after its way down +type public\.mood: added/,
  )
})

/** b2 and c3 on a1, and d4, which merges them. */
async function merged(b2: Partial<Revision> = {}): Promise<void> {
  const orders = { revision: 'a1', sql: ['create table orders (id int)'], down: ['drop table orders'] }
  await writeAlembic(folder, [
    orders,
    {
      ...{ revision: 'b2', after: 'a1', sql: ['alter table orders add b int'], down: ['alter table orders drop b'] },
      ...b2,
    },
    { revision: 'c3', after: 'a1', sql: ['alter table orders add c int'], down: ['alter table orders drop c'] },
  ])
  writeFileSync(join(folder, 'alembic', 'versions', 'd4.py'), mergeScript('d4', ['b2', 'c3']))
}
const PLAIN = `{ kind: alembic, command: ["${ALEMBIC}"] }`

test('an Alembic merge goes there and back on both of its branches', async () => {
  await merged()
  const answer = await typed(PLAIN, ...there())
  expect(answer, answer.text).toMatchObject({ exit: 0 })
  expect(answer.text).toContain('d4: up, down and up again; nothing differs')
})

test('Alembic branches go there and back, each of them, and what a way down of one leaves is found', async () => {
  await merged()
  const right = await typed(PLAIN, ...there(), '--all')
  expect(right, right.text).toMatchObject({ exit: 0 })
  for (const version of ['a1', 'b2', 'c3', 'd4'])
    expect(right.text).toContain(`${version}: up, down and up again; nothing differs`)
  await merged({ sql: ['alter table orders add if not exists b int'], down: ['select 1'] })
  const wrong = await typed(PLAIN, ...there(), '--all')
  expect(wrong, wrong.text).toMatchObject({ exit: 4 })
  expect(wrong.text).toMatch(/b2: differs\n +after its way down +column public\.orders\.b: added/)
  expect(wrong.text).toContain('c3: up, down and up again; nothing differs')
  expect(wrong.text).toContain('d4: up, down and up again; nothing differs')
})

if (HAS_SQLX) {
  test('a release of sqlx goes there and back', async () => {
    writeSqlx(join(folder, 'migrations'), [
      { version: '1', up: ['create table orders (id int)'], down: 'drop table orders' },
      { version: '2', up: ['alter table orders add note text'], down: 'alter table orders drop note' },
    ])
    const answer = await typed(`{ kind: sqlx, command: ["${SQLX}"] }`, ...there(), '--all')
    expect(answer, answer.text).toMatchObject({ exit: 0 })
  })
}
