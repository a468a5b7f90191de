import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import {
  fingerprint,
  fingerprintDifferences,
  rowCounts,
  tableHashes,
} from '../../../src/adapters/postgres/data-fingerprint.js'
import { forDatabase } from '../../../src/adapters/postgres/database-properties.js'
import { readIdentity } from '../../../src/adapters/postgres/identity.js'
import { dropInvalidIndex, invalidIndexes } from '../../../src/adapters/postgres/invalid-indexes.js'
import { schemaHash, schemaObjects } from '../../../src/adapters/postgres/schema-fingerprint.js'
import { withSession } from '../../../src/adapters/postgres/session.js'
import { targetUrl } from '../../../src/adapters/postgres/target.js'
import { Fingerprint } from '../../../src/domain/manifest.js'
import { failedWith } from '../../../src/domain/failures.js'
import { appTemplate, copyOf } from '../../support/app-database.js'
import { OpenFence } from '../../support/open-fence.js'
import { startPostgres } from '../../support/postgres-server.js'
import { serverBinaries } from '../../support/server-binaries.js'
import { createDatabase, type TestDatabase, withControl } from '../../support/test-database.js'

let template: TestDatabase
beforeAll(async () => {
  template = await appTemplate()
})

const options = { applicationName: 'test' }
const full = { rows: 'hash' } as const

test('a fingerprint of every kind of object has no two of one name, no secret, and fits the manifest', async () => {
  const print = await withSession(template.target, options, (session) => fingerprint(session, full))
  expect(Fingerprint.parse(JSON.parse(JSON.stringify(print)))).toEqual(print)
  const names = print.objects.map(({ kind, identity }) => `${kind} ${identity}`)
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  expect(JSON.stringify(print)).not.toContain('hunter2')
})

test('the reader`s settings do not change a fingerprint', async () => {
  const plain = await withSession(template.target, options, (session) => fingerprint(session, full))
  const odd = await withSession(template.target, options, async (session) => {
    await session.query(`set search_path = billing, public; set datestyle = 'German'; set timezone = 'Asia/Tokyo';
      set extra_float_digits = -5; set bytea_output = 'escape'; set intervalstyle = 'sql_standard'; set quote_all_identifiers = on`)
    const print = await fingerprint(session, full)
    expect((await session.query(`select current_setting('search_path') as path`)).rows).toEqual([
      { path: 'billing, public' },
    ])
    return print
  })
  expect(fingerprintDifferences(plain, odd)).toEqual([])
})

test('counts alone compare with hashes by their counts', async () => {
  const app = await copyOf(template)
  await withSession(app.target, options, async (session) => {
    const before = await fingerprint(session, { rows: 'count' })
    await session.query(`update customers set email = 'x' where id = 1`)
    const after = await fingerprint(session, full)
    expect(fingerprintDifferences(before, after)).toEqual([])
    await session.query(`insert into parent values (1)`)
    expect(fingerprintDifferences(before, await fingerprint(session, full))).toEqual([
      expect.stringContaining('rows of public.parent: was {"rows":"0"}, is {"rows":"1"'),
    ])
    expect((await rowCounts(session))['public.events_rest']).toBe('136')
  })
})

test('row security is an error, not a table with fewer rows', async () => {
  const app = await createDatabase()
  const role = `half_${app.name}`
  await withSession(app.target, options, (session) =>
    session.query(`create role ${role} login; create table t as select n from generate_series(1, 9) n; grant select on t to ${role};
      alter table t enable row level security; create policy half on t to ${role} using (n < 5)`),
  )
  const hashing = withSession({ ...app.target, user: role }, options, (session) => tableHashes(session))
  await expect(hashing).rejects.toSatisfy((error) => failedWith(error, 'RightsMissing'))
})

test('a role without any right reads the same schema as a superuser, but for secrets', async () => {
  const role = `weak_${template.name}`
  await withControl((control) =>
    control.query(`create role ${role} login; grant connect on database ${template.name} to ${role}`),
  )
  const all = await withSession(template.target, options, schemaObjects)
  const weak = await withSession({ ...template.target, user: role }, options, schemaObjects)
  await withControl((control) => control.query(`revoke connect on database ${template.name} from ${role}`))
  const without = (objects: typeof all) => objects.filter(({ kind }) => kind !== 'database')
  expect(schemaHash(without(weak))).toBe(schemaHash(without(all)))
  expect(weak.filter(({ kind }) => kind === 'secret').map(({ definition }) => definition)).toEqual(['unreadable'])
})

test('progress names each table; an abort ends the hashing', async () => {
  const seen: string[] = []
  const controller = new AbortController()
  const onTable = (table: string): void => {
    if (seen.push(table) === 3) controller.abort(new Error('enough'))
  }
  const hashing = withSession(template.target, options, (session) =>
    tableHashes(session, { signal: controller.signal, onTable }),
  )
  await expect(hashing).rejects.toThrow('enough')
  expect(seen).toHaveLength(3)
})

test('an invalid index is found and dropped, a valid one never', async () => {
  const app = await createDatabase()
  const fence = new OpenFence()
  await withSession(app.target, options, async (session) => {
    await session.query(
      `create table "T able" (a int); insert into "T able" values (1), (1); create index fine on "T able" (a)`,
    )
    await session.query('create unique index concurrently "Half" on "T able" (a)').catch(() => {})
    const [half, ...rest] = await invalidIndexes(session)
    expect(rest).toEqual([])
    expect(half).toMatchObject({ index: 'public."Half"', table: '"T able"', isReindexLeftover: false })
    await dropInvalidIndex(session, { schema: 'public', name: 'Half' }, fence)
    await dropInvalidIndex(session, { schema: 'public', name: 'Half' }, fence)
    expect(await invalidIndexes(session)).toEqual([])
    const dropping = dropInvalidIndex(session, { schema: 'public', name: 'fine' }, fence)
    await expect(dropping).rejects.toSatisfy((error) => failedWith(error, 'StateUnexpected'))
  })
})

test('the identity tells what would stand in the way', async () => {
  const app = await createDatabase()
  await withSession(app.target, options, async (session) => {
    await session.query(`select pg_create_logical_replication_slot('s_' || current_database(), 'pgoutput')`)
    await session.query(`create subscription sub connection 'host=nowhere' publication p with (connect = false)`)
    expect(await readIdentity(session)).toMatchObject({
      systemIdentifier: expect.stringMatching(/^\d{15,}$/),
      database: app.name,
      isStandby: false,
      user: 'postgres',
      isSuperuser: true,
      canCreateDatabase: true,
      ownsDatabase: true,
      seesSessions: true,
      endsSessions: true,
      rolesNotSettable: [],
      settingsNotSettable: [],
      logicalSlots: [`s_${app.name}`],
      subscriptions: ['sub'],
    })
    await session.query(`select pg_drop_replication_slot('s_${app.name}')`)
  })
})

test('the placeholder is replaced outside quoted names and texts only', () => {
  expect(forDatabase(`alter role ":new" in database :new set "a:new" to E'\\\\'':new', ':new'`, 'a"b')).toBe(
    `alter role ":new" in database "a""b" set "a:new" to E'\\\\'':new', ':new'`,
  )
})

test('a fingerprint of more tables and sequences than the server has locks for is taken, and of one snapshot', async () => {
  const server = await startPostgres({ max_locks_per_transaction: '10', max_connections: '20' })
  const psql = join(await serverBinaries(), 'psql')
  const target = { ...template.target, port: server.port, database: 'postgres' }
  try {
    const print = await withSession(target, options, async (session) => {
      await session.query(`do $$ begin
        for n in 1..2500 loop
          execute format('create table many_%s (id int generated always as identity primary key)', n);
          if n % 10 = 0 then commit; end if;
        end loop;
      end $$`)
      await session.query('insert into many_2500 default values')
      // Before the next table's turn.
      let isLate = false
      const insert = (): void => {
        if (!isLate) execFileSync(psql, [targetUrl(target), '-c', 'insert into many_2500 default values'])
        isLate = true
      }
      return fingerprint(session, { ...full, onTable: insert })
    })
    expect(Object.keys(print.tables)).toHaveLength(2500)
    expect(print.tables['public.many_2500']?.rows).toBe('1')
  } finally {
    await server.stop()
  }
})
