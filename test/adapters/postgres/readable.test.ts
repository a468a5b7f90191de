import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { unreadableOf } from '../../../src/adapters/postgres/readable.js'
import { openSession, withSession } from '../../../src/adapters/postgres/session.js'
import { type Target, targetUrl } from '../../../src/adapters/postgres/target.js'
import { pgDump } from '../../support/server-binaries.js'
import { createDatabase, type TestDatabase, withControl } from '../../support/test-database.js'

let database: TestDatabase
let reader: Target
let owner: string

const asOwner = (sql: string): Promise<unknown> =>
  withSession(database.target, { applicationName: 'test prepare' }, (session) => session.query(sql))

/** What `pg_dump` itself comes to as this role: undefined, or what it says. */
async function dumped(): Promise<string | undefined> {
  const { stderr } = await promisify(execFile)(await pgDump(), [`--dbname=${targetUrl(reader)}`, '--blobs'], {
    maxBuffer: 1 << 26,
  }).catch((error: { stderr: string }) => error)
  return stderr === '' ? undefined : stderr
}

const unreadable = () => withSession(reader, { applicationName: 'test look', readOnly: true }, unreadableOf)

beforeAll(async () => {
  database = await createDatabase()
  const role = `Reader of ${database.name}`
  owner = `owner-of-${database.name}`
  reader = { ...database.target, user: role }
  await withControl(async (control) => {
    await control.query(`create role "${role}" login`)
    await control.query(`create role "${owner}"`)
  })
  await asOwner(`create schema "in House"; create table "in House".orders (id serial primary key, item text);
    create table public.plain (n int); grant select on public.plain to public`)
})
afterAll(async () => {
  await withControl((control) => control.query(`drop database "${database.name}" with (force)`))
})

test('what pg_dump would fail at is named before, with the grant that is enough, until it can read everything', async () => {
  const who = `"${reader.user}"`
  const granted = async (): Promise<string> => {
    expect(await dumped()).toMatch(/permission denied|row-level security/)
    const found = await unreadable()
    for (const { grant } of found) await asOwner(grant)
    return found.map(({ what, grant }) => `${what}: ${grant}`).join('\n')
  }

  expect(await granted()).toBe(`may not read "in House".orders and 1 more: grant pg_read_all_data to ${who};`)
  expect(await unreadable()).toEqual([])
  expect(await dumped()).toBeUndefined()

  await asOwner(`alter table "in House".orders enable row level security`)
  expect(await granted()).toBe(`does not see every row of "in House".orders: alter role ${who} bypassrls;`)
  expect(await unreadable()).toEqual([])
  expect(await dumped()).toBeUndefined()

  await asOwner(`select lo_from_bytea(4711, 'mine'); select lo_from_bytea(4712, 'everybody''s');
    grant select on large object 4712 to public; alter large object 4711 owner to "${owner}"`)
  expect(await granted()).toBe(`may not read 1 large object of "${owner}": grant "${owner}" to ${who};`)
  expect(await unreadable()).toEqual([])
  expect(await dumped()).toBeUndefined()
})

test('a superuser reads everything', async () => {
  const session = await openSession(database.target, { applicationName: 'test look' })
  expect(await unreadableOf(session).finally(() => session.end())).toEqual([])
})
