import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type StatementProxy, startStatementProxy } from '../../../src/adapters/postgres/statement-proxy.js'
import { openSession } from '../../../src/adapters/postgres/session.js'
import { splitStatements } from '../../../src/adapters/postgres/sql-statements.js'
import { isServerWide } from '../../../src/adapters/postgres/statement-kind.js'
import { targetUrl, withDatabase } from '../../../src/adapters/postgres/target.js'
import type { MeasuredStatement } from '../../../src/domain/rehearsal.js'
import { postgresProgram } from '../../support/program.js'
import { createDatabase } from '../../support/test-database.js'

let app: Awaited<ReturnType<typeof createDatabase>>
let watch: Client
let proxy: StatementProxy

beforeEach(async () => {
  app = await createDatabase()
  watch = await openSession(app.target, { applicationName: 'watch', statementTimeoutMs: 0 })
  await watch.query(`create table orders (id bigint primary key, item text);
    insert into orders select n, 'x' from generate_series(1, 20000) n; create table other (id int)`)
  proxy = await startStatementProxy(app.target, watch)
  await proxy.begin()
})

afterEach(async () => {
  await proxy.close()
  await watch.end()
})

/** A tool's session. */
async function asTool<T>(work: (session: Client) => Promise<T>): Promise<T> {
  const session = new Client({ connectionString: targetUrl(proxy.target) })
  await session.connect()
  return work(session).finally(() => session.end())
}

async function psql(sql: string | Buffer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hg-psql-'))
  const file = join(folder, 'script.sql')
  await writeFile(file, sql)
  return postgresProgram('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', file], proxy.target).finally(() =>
    rm(folder, { recursive: true }),
  )
}

const shown = ({ sql, locks, rewrites, rows, unseen }: MeasuredStatement) => ({
  sql,
  locks: locks.map(({ table, mode }) => `${table} ${mode}`),
  rewrites,
  ...(rows === undefined ? {} : { rows }),
  ...(unseen ? { unseen } : {}),
})

describe('what a statement did is measured', () => {
  test('in a transaction each one by itself, with the locks it took first, what it rewrote and how many rows it wrote', async () => {
    await asTool(async (session) => {
      await session.query('begin')
      await session.query('alter table orders add column note text')
      await session.query('alter table orders alter column id type numeric')
      await session.query(`update orders set note = 'y' where id <= 100`)
      await session.query('commit')
    })
    expect(proxy.take().map(shown)).toEqual([
      { sql: 'alter table orders add column note text', locks: ['orders ACCESS EXCLUSIVE'], rewrites: [] },
      {
        sql: 'alter table orders alter column id type numeric',
        locks: [],
        rewrites: ['orders'],
      },
      { sql: `update orders set note = '' where id <= 100`, locks: [], rewrites: [], rows: 100 },
    ])
  })

  test('a lock is held to the end of its transaction', async () => {
    await asTool(async (session) => {
      await session.query('begin')
      await session.query('alter table orders add column note text')
      await session.query('select pg_sleep(0.2)')
      await session.query('commit')
    })
    const [first] = proxy.take()
    expect(first?.ms).toBeLessThan(first?.locks[0]?.heldMs ?? 0)
    expect(first?.locks[0]?.heldMs).toBeGreaterThan(200)
  })

  test('several statements of one message are measured one by one in a transaction, and an error tells its place in the whole', async () => {
    const failed = await asTool(async (session) => {
      await session.query('begin')
      await session.query(
        `alter table orders add column a text; create index on orders (item);\nupdate orders set a = 'é;'`,
      )
      await session.query('savepoint s')
      const error = await session.query(`select 1; select 'é';\nselect nothing`).catch((found) => found)
      await session.query('rollback to s')
      await session.query('commit')
      return error
    })
    expect(failed).toMatchObject({ code: '42703', position: '30' })
    expect(proxy.take().map(shown)).toEqual([
      { sql: 'alter table orders add column a text', locks: ['orders ACCESS EXCLUSIVE'], rewrites: [] },
      { sql: 'create index on orders (item)', locks: [], rewrites: [] },
      { sql: `update orders set a = ''`, locks: [], rewrites: [], rows: 20_000 },
      { sql: 'select 1', locks: [], rewrites: [] },
      { sql: `select ''`, locks: [], rewrites: [] },
    ])
  })

  test('outside of a transaction the locks are those that somebody else sees', async () => {
    await watch.query('insert into orders select n, md5(n::text) from generate_series(20001, 200000) n')
    await asTool((session) => session.query('create index concurrently by_item on orders (item)'))
    expect(proxy.take().map(shown)).toEqual([
      {
        sql: 'create index concurrently by_item on orders (item)',
        locks: ['orders SHARE UPDATE EXCLUSIVE'],
        rewrites: [],
      },
    ])
  })

  test('where it is over too soon to be seen outside of a transaction, that is said', async () => {
    await asTool((session) => session.query('alter table other add column b int'))
    expect(proxy.take().map(shown)).toEqual([
      { sql: 'alter table other add column b int', locks: [], rewrites: [], unseen: true },
    ])
  })

  test('what is dropped was locked', async () => {
    await asTool(async (session) => {
      await session.query('begin')
      await session.query('drop table other')
      await session.query('commit')
    })
    expect(proxy.take().map(shown)).toEqual([
      { sql: 'drop table other', locks: ['other ACCESS EXCLUSIVE'], rewrites: [] },
    ])
  })

  test('what the release itself made is nobody else`s', async () => {
    await asTool(async (session) => {
      await session.query('begin')
      await session.query('create table made (id int)')
      await session.query('alter table made add column b int')
      await session.query('commit')
    })
    expect(proxy.take().flatMap(({ locks }) => locks)).toEqual([])
  })

  test('a statement that failed, and one that ends or begins a transaction, is none', async () => {
    await asTool(async (session) => {
      await session.query('begin; set local work_mem = 64')
      await session.query('select 1 / 0').catch(() => {})
      await session.query('rollback')
    })
    expect(proxy.take()).toEqual([])
  })
})

describe('a client notices nothing', () => {
  test('that copies in and out', async () => {
    const out = await psql(
      `begin; create table t (a int, b text); copy t from stdin;\n1\tone\n2\ttwo\n\\.\ncopy t to stdout; commit;`,
    )
    expect(out).toBe('1\tone\n2\ttwo\n')
    expect(await watch.query('select count(*)::int as n from t')).toMatchObject({ rows: [{ n: 2 }] })
  })

  test('that prepares without a name, and runs that after something else', async () => {
    await asTool(async (session) => {
      await session.query('begin')
      for (const id of [1, 2]) {
        const { rows } = await session.query('select item, $1::int as id from orders where id = $1', [id])
        expect(rows).toEqual([{ item: 'x', id }])
      }
      await session.query('alter table other add column b int')
      const { rows } = await session.query({ name: 'kept', text: 'select $1::text as told', values: ['ü'] })
      expect(rows).toEqual([{ told: 'ü' }])
      await session.query('commit')
    })
  })

  test('that sends several queries at once', async () => {
    await asTool(async (session) => {
      const all = [1, 2, 3, 4].map((n) => session.query('select $1::int as n', [n]))
      expect((await Promise.all(all)).map(({ rows }) => rows[0].n)).toEqual([1, 2, 3, 4])
    })
  })

  test('that cancels a statement', async () => {
    const session = new Client({ connectionString: targetUrl(proxy.target) })
    await session.connect()
    const sleeping = session.query('select pg_sleep(600)').catch((error) => error.code)
    const asleep = `select from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'`
    while ((await watch.query(asleep)).rowCount === 0);
    // As libpq's PQcancel does: on a connection of its own.
    const request = Buffer.alloc(16)
    const { processID, secretKey } = Object(session)
    for (const [index, value] of [16, 80_877_102, processID, secretKey].entries())
      request.writeInt32BE(value, index * 4)
    connect(proxy.target.port, proxy.target.host).end(request)
    expect(await sleeping).toBe('57014')
    await session.end()
  })

  test('that sets the isolation of its transaction after beginning it', async () => {
    await asTool(async (session) => {
      await session.query('begin')
      await session.query('set transaction isolation level serializable')
      const { rows } = await session.query('show transaction_isolation')
      expect(rows).toEqual([{ transaction_isolation: 'serializable' }])
      await session.query('commit')
    })
  })

  test('that leaves in the middle: its session ends, too', async () => {
    const session = new Client({ connectionString: targetUrl(proxy.target) })
    session.on('error', () => {})
    await session.connect()
    await session.query(`set application_name = 'leaver'`)
    await session.query('begin; lock table orders')
    await session.end()
    const left = 'select from pg_stat_activity where application_name = $1'
    while ((await watch.query(left, ['leaver'])).rowCount !== 0);
    expect(proxy.sessions()).toBe(1)
  })

  test('that speaks another encoding', async () => {
    // `\\;` has psql send both in one message.
    const both = `insert into orders values (0, 'caf\xe9')\\; select 1;`
    await psql(Buffer.from(`set client_encoding = 'latin1';\nbegin;\n${both}\ncommit;\n`, 'latin1'))
    expect((await watch.query('select item from orders where id = 0')).rows).toEqual([{ item: 'café' }])
  })

  test('that sends more than anybody keeps in memory', async () => {
    const lines = 400_000
    const data = Array.from({ length: lines }, (_, n) => `${n}\t${'x'.repeat(90)}\n`).join('')
    await psql(`create table big (n int, t text);\ncopy big from stdin;\n${data}\\.\n`)
    expect((await watch.query('select count(*)::int as n from big')).rows).toEqual([{ n: lines }])
  })

  test('that is refused hears why', async () => {
    const nobody = { ...proxy.target, user: 'nobody' }
    const refused = openSession(nobody, { applicationName: 'tool' }).then(
      () => 'let in',
      (error) => error.message,
    )
    expect(await refused).toMatch(/role "nobody" does not exist/)
  })
})

test('a database that is gone ends the session', async () => {
  const session = new Client({ connectionString: targetUrl(proxy.target) })
  await session.connect()
  const gone = new Promise((resolve) => session.on('error', resolve))
  await watch.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  await gone
})

test('whoever asks for another database is sent away, and was not here', async () => {
  const elsewhere = openSession(withDatabase(proxy.target, 'postgres'), { applicationName: 'tool' }).then(
    () => 'let in',
    (error) => error.message,
  )
  expect(await elsewhere).toContain(`this is the way to database ${app.name} alone`)
  expect(proxy.sessions()).toBe(0)
})

test.each([
  'create role x',
  `alter role postgres set work_mem = '1MB'`,
  'grant a to b',
  'drop database y',
  'alter system reset all',
])(
  '"%s" is refused where only the copy may be changed, by text and prepared, and the rest of the transaction with it',
  async (sql) => {
    await proxy.close()
    proxy = await startStatementProxy(app.target, watch, (statement) =>
      isServerWide(statement) ? 'it changes more than the copy' : undefined,
    )
    for (const query of [sql, { name: 'prepared', text: sql }]) {
      await asTool(async (session) => {
        await session.query('begin')
        await session.query('alter table other add column gone int')
        expect(await session.query(query).catch((error) => [error.code, error.message])).toEqual([
          '0A000',
          'it changes more than the copy',
        ])
        expect((await session.query('commit')).command).toBe('ROLLBACK')
      })
    }
  },
)

test.each([
  'grant select on orders to postgres',
  'create user mapping for postgres server s',
  'alter table orders add column role text',
  'comment on table orders is $$create role$$',
])('"%s" changes the copy alone', (sql) => {
  expect(splitStatements(sql).map(isServerWide)).toEqual([false])
})
