// What readers notice of an `alter table` that meets a long reader: around each migrator beside the bare tool. And how long a
// plan of many files takes. Ratios, measured side by side on this machine; nothing is asserted.
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { cacheFolder, findPythonTools } from '../dist/adapters/process/provision.js'
import { median, onGround, print, quiet, run, sql, timed } from './bench-ground.mjs'

const ROUNDS = Number(process.env.HEADGATE_BENCH_ROUNDS ?? 3)
/** As docs/benchmarks.md has it. */
const READ_EVERY_MS = 10
const READERS = 60
const LONG_READER_MS = 8_000
const FILES = 1_000

const SQLX_LEDGER = `create table _sqlx_migrations (version bigint primary key, description text not null,
  installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null)`
const ALTER = 'alter table orders add column note text'

function reset(url) {
  return sql(
    url,
    `alter table orders drop column if exists note; drop table if exists alembic_version, _sqlx_migrations, headgate_migrations, bare_migrations`,
  )
}

await onGround(async ({ folder, postgres, env, configure, start, client, startWorker }) => {
  const url = postgres.url('bench')
  const alembic = await join(await findPythonTools(cacheFolder(), quiet), 'alembic')
  const sqlx = join(cacheFolder(), 'sqlx-0.8.6', 'bin', 'sqlx')
  await writeProjects(folder)
  const toolEnv = { ...env, DATABASE_URL: url.replace('postgres:', 'postgresql:') }
  const tools = [
    {
      name: 'umzug',
      migrator: { kind: 'umzug', dir: 'umzug' },
      bare: () =>
        run(process.execPath, [join(folder, 'bare-umzug.mjs')], toolEnv, new URL('..', import.meta.url).pathname),
    },
    {
      name: 'alembic',
      migrator: { kind: 'alembic', config: 'alembic/alembic.ini', command: [alembic] },
      bare: () => run(alembic, ['upgrade', 'head'], toolEnv, join(folder, 'alembic')),
    },
    ...(existsSync(sqlx)
      ? [
          {
            name: 'sqlx',
            // Its very first migration makes the ledger first, outside of its transaction.
            prepare: () => sql(url, SQLX_LEDGER),
            migrator: { kind: 'sqlx', dir: 'sqlx', command: [sqlx] },
            bare: () => run(sqlx, ['migrate', 'run', '--source', join(folder, 'sqlx')], toolEnv, folder),
          },
        ]
      : []),
  ]
  await sql(url, 'create table orders (id int primary key, item text)')
  await sql(url, `insert into orders select n, 'x' from generate_series(1, 10000) n`)
  for (const { name, migrator, bare, prepare = quiet } of tools) {
    await configure({ migrator })
    const worker = await startWorker()
    const [beside, around] = [[], []]
    for (let round = 1; round <= ROUNDS; round++) {
      await reset(url)
      await prepare()
      beside.push(await withReaders(url, bare))
      await reset(url)
      await prepare()
      around.push(
        await withReaders(url, async () => {
          const handle = await start('migrate')
          await handle.result()
          const { lines } = await handle.query('state')
          return lines.find(({ step }) => step === 'migrate').endedAt
        }),
      )
    }
    await worker.stop()
    tell(`bare ${name}`, beside)
    tell(`${name} with headgate`, around)
    const ratio = median(beside.map(({ p99 }) => p99)) / median(around.map(({ p99 }) => p99))
    console.log(`  a reader's p99 is ${ratio.toFixed(0)} times lower with headgate\n`)
  }
  await many(client, configure, startWorker, folder)
})

async function many(client, configure, startWorker, folder) {
  await mkdir(join(folder, 'many'))
  for (let n = 1; n <= FILES; n++)
    await writeFile(join(folder, 'many', `${String(n).padStart(4, '0')}_t.sql`), `create table t${n} (id int)`)
  await configure({ migrator: { kind: 'umzug', dir: 'many' } })
  const worker = await startWorker()
  const plans = []
  for (let round = 0; round <= ROUNDS; round++) {
    const took = await timed(() =>
      client.workflow.execute('look', {
        taskQueue: 'headgate-bench-staging',
        workflowId: `headgate/bench/staging/look/plan/${round}`,
        args: [{ project: 'bench', environment: 'staging', command: 'plan' }],
      }),
    )
    // The first one loads what reads SQL.
    if (round > 0) plans.push(took)
  }
  await worker.stop()
  print(`a plan of ${FILES} pending files, reviewed`, plans)
}

/** Reads at a steady pace, whatever the answers take, while `work` meets a reader that takes long. */
async function withReaders(url, work) {
  const waits = []
  const waiting = []
  const free = await Promise.all(
    Array.from({ length: READERS }, async () => {
      const reader = new pg.Client({ connectionString: url })
      reader.on('error', () => {})
      await reader.connect()
      return reader
    }),
  )
  const all = [...free]
  const next = () => {
    while (free.length > 0 && waiting.length > 0) {
      const [reader, due] = [free.pop(), waiting.shift()]
      reader.query('select item from orders where id = $1', [1 + Math.floor(Math.random() * 10_000)]).then(() => {
        waits.push(performance.now() - due)
        free.push(reader)
        next()
      }, quiet)
    }
  }
  const long = new pg.Client({ connectionString: url })
  long.on('error', () => {})
  await long.connect()
  await long.query('begin; select count(*) from orders')
  let released
  const releasing = pause(LONG_READER_MS).then(async () => {
    released = Date.now()
    await long.query('commit')
  })
  releasing.catch(quiet)
  const timer = setInterval(() => {
    waiting.push(performance.now())
    next()
  }, READ_EVERY_MS)
  const done = (await work()) ?? Date.now()
  await releasing
  clearInterval(timer)
  while (free.length < all.length) await pause(10)
  await Promise.all([...all, long].map((one) => one.end()))
  waits.sort((a, b) => a - b)
  return {
    p99: waits[Math.floor(waits.length * 0.99)],
    most: waits.at(-1),
    after: done - released,
    reads: waits.length,
  }
}

function tell(what, rounds) {
  print(
    `${what}: a reader's p99`,
    rounds.map(({ p99 }) => p99),
  )
  print(
    `${what}: the slowest read`,
    rounds.map(({ most }) => most),
  )
  print(
    `${what}: done after the long reader`,
    rounds.map(({ after }) => after),
  )
}

async function writeProjects(folder) {
  for (const name of ['umzug', 'sqlx', 'alembic', 'alembic/migrations', 'alembic/migrations/versions'])
    await mkdir(join(folder, name))
  await writeFile(join(folder, 'umzug', '0001_note.sql'), ALTER)
  await writeFile(join(folder, 'sqlx', '1_note.sql'), ALTER)
  await writeFile(join(folder, 'alembic', 'alembic.ini'), '[alembic]\nscript_location = %(here)s/migrations\n')
  await writeFile(
    join(folder, 'alembic', 'migrations', 'env.py'),
    `import os
from alembic import context
from sqlalchemy import create_engine, pool
url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:")
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
`,
  )
  await writeFile(
    join(folder, 'alembic', 'migrations', 'versions', 'a1_note.py'),
    `revision = "a1"\ndown_revision = None\nfrom alembic import op\ndef upgrade():\n    op.execute("${ALTER}")\n`,
  )
  // umzug has no program of its own: the smallest one that a team writes.
  const modules = new URL('../node_modules/', import.meta.url).href
  await writeFile(
    join(folder, 'bare-umzug.mjs'),
    `import pg from '${modules}pg/lib/index.js'
import umzug from '${modules}umzug/lib/index.js'
import { readFile } from 'node:fs/promises'
const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
await client.connect()
await client.query('create table if not exists bare_migrations (name text primary key)')
const storage = {
  executed: async () => (await client.query('select name from bare_migrations')).rows.map(({ name }) => name),
  logMigration: ({ name }) => client.query('insert into bare_migrations values ($1)', [name]),
  unlogMigration: async () => {},
}
await new umzug.Umzug({
  migrations: { glob: '${join(folder, 'umzug')}/*.sql', resolve: ({ name, path }) => ({ name, up: async () => client.query(await readFile(path, 'utf8')) }) },
  storage, logger: undefined,
}).up()
await client.end()
`,
  )
}
