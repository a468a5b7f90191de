import { beforeAll, describe, expect, test } from 'vitest'
import { appTemplate, copyOf } from '../support/app-database.js'
import { COMMITTED_CHANGES } from '../support/committed-changes.js'
import { pgDump } from '../support/server-binaries.js'
import type { TestDatabase } from '../support/test-database.js'
import { execute } from './connect.js'
import { differences, type Snapshot, snapshotOf } from './snapshot.js'

describe('a snapshot', () => {
  let template: TestDatabase
  let before: Snapshot
  const around = { 'consumer stock': 'running', 'service api': 'on tag 1' }
  const look = async (url: string, now: Record<string, string> = around): Promise<Snapshot> =>
    snapshotOf({ url, pgDump: await pgDump(), surroundings: async () => now })

  beforeAll(async () => {
    template = await appTemplate()
    before = await look((await copyOf(template)).url)
  })

  test('finds nothing where nothing changed, and nothing between a database and its copy', async () => {
    const copy = await copyOf(template)
    expect(differences(before, await look(copy.url))).toEqual([])
    expect(differences(await look(copy.url), await look(copy.url))).toEqual([])
  })

  test('finds nothing in rows that were read and transactions that were rolled back', async () => {
    const copy = await copyOf(template)
    await execute(copy.url, 'begin', 'select count(*) from orders', 'create table gone (a int)', 'rollback', 'analyze')
    expect(differences(before, await look(copy.url))).toEqual([])
  })

  test.concurrent.each(Object.entries(COMMITTED_CHANGES))(
    'turns red after %s',
    { timeout: 120_000 },
    async (_, change) => {
      const copy = await copyOf(template)
      await execute(copy.url, ...change.replaceAll(':db', copy.name).split(';;'))
      expect(differences(before, await look(copy.url))).not.toEqual([])
    },
  )

  test.each([
    ['one changed value', `update customers set email = 'x' where id = 3`, /^rows of public\.customers: /],
    ['an ACL', 'grant delete on orders to app_ro', /^schema .*ACL/],
    ['a sequence', `select nextval('ticket')`, /^sequence of public\.ticket: was "100 t", is "105 t"$/],
    ['a database setting', `alter database :db set work_mem = '9MB'`, /^setting of everybody: work_mem: .*9MB/],
    [
      'a role setting',
      `alter role app_rw in database :db set work_mem = '7MB'`,
      /^setting of app_rw: work_mem: was absent/,
    ],
    ['a comment of the database', `comment on database :db is 'x'`, /^database comment: .* is "x"$/],
    ['an ACL of the database', 'grant create on database :db to app_ro', /^database acl: /],
    ['the content of a large object', `select lo_put(4711, 7, 'x')`, /^large object 4711: /],
    ['the owner of a large object', 'alter large object 4711 owner to app_rw', /^large object 4711: /],
    ['the ACL of a large object', 'revoke select on large object 4711 from app_ro', /^large object 4711: /],
    ['an added table', 'create table extra (a int)', /^rows of public\.extra: was absent, is "0 rows/],
    ['an added index', 'create index extra on audit (what)', /^index public\.extra: was absent/],
  ])('names %s', async (_, change, words) => {
    const copy = await copyOf(template)
    await execute(copy.url, change.replaceAll(':db', copy.name))
    expect(differences(before, await look(copy.url))).toContainEqual(expect.stringMatching(words))
  })

  test('names a database that is left closed', async () => {
    const copy = await copyOf(template)
    const open = await look(copy.url)
    await execute(template.url, `alter database ${copy.name} connection limit 0`)
    expect(differences(open, await look(copy.url))).toContain('database connection limit: was "77", is "0"')
  })

  test('names a paused consumer and another tag', async () => {
    const copy = await copyOf(template)
    const now = { 'consumer stock': 'paused', 'service api': 'on tag 2' }
    expect(differences(before, await look(copy.url, now))).toEqual([
      'around consumer stock: was "running", is "paused"',
      'around service api: was "on tag 1", is "on tag 2"',
    ])
  })
})
