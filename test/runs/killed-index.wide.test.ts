import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { ALEMBIC, ALEMBIC_LEDGER, FIRST, writeAlembic } from '../support/alembic-release.js'
import { HAS_SQLX, SQLX, SQLX_LEDGER } from '../support/sqlx-release.js'
import { withControl } from '../support/test-database.js'
import { World } from '../support/world.js'

/** Built in some seconds: each row takes its time. */
const INDEX = 'create index concurrently if not exists orders_slowly on orders (slowly(item))'
const SLOWLY = `create function slowly(item text) returns text language plpgsql immutable as
  'begin perform pg_sleep(0.06); return item; end'`

interface Team {
  schema: string
  migrator: Record<string, unknown>
  /** What release 2 has beside release 1. */
  migrations?: Record<string, string>
  write?: (folder: string) => Promise<void>
  /** Versions that the ledger has of release 2. */
  recorded: string
}

const TOOL = [process.execPath, fileURLToPath(new URL('../support/head-tool.mjs', import.meta.url))]
const TOOL_FILE = 'releases/{tag}/migrations.json'

const TEAMS: Record<string, Team> = {
  umzug: {
    schema: '',
    migrator: { kind: 'umzug', dir: 'releases/{tag}' },
    migrations: { '0002_index.sql': `-- headgate:no-transaction\n${INDEX}` },
    recorded: `select version from headgate_migrations where version <> '0001_orders'`,
  },
  alembic: {
    schema: ALEMBIC_LEDGER,
    migrator: { kind: 'alembic', config: 'releases/{tag}/alembic.ini', command: [ALEMBIC] },
    write: async (folder) => {
      await writeAlembic(join(folder, 'releases', '1'), [FIRST])
      const index = { revision: 'b2', after: 'a1', sql: [INDEX], isOutside: true }
      await writeAlembic(join(folder, 'releases', '2'), [FIRST, index])
    },
    recorded: `select version_num from alembic_version where version_num = 'b2'`,
  },
  ...(HAS_SQLX
    ? {
        sqlx: {
          schema: SQLX_LEDGER,
          migrator: { kind: 'sqlx', dir: 'releases/{tag}', command: [SQLX] },
          migrations: { '0002_index.sql': `-- no-transaction\n${INDEX}` },
          recorded: 'select version from _sqlx_migrations where version = 2 and success',
        },
      }
    : {}),
  command: {
    schema: `create table tool_ledger (version text primary key); insert into tool_ledger values ('1')`,
    migrator: { kind: 'command', status: [...TOOL, 'status', TOOL_FILE], up: [...TOOL, 'up', TOOL_FILE] },
    write: async (folder) => {
      const first = { version: '1', sql: 'select 1' }
      const index = { version: '2', sql: INDEX, transactional: false }
      await writeFile(join(folder, 'releases', '1', 'migrations.json'), JSON.stringify([first]))
      await writeFile(join(folder, 'releases', '2', 'migrations.json'), JSON.stringify([first, index]))
    },
    recorded: `select version from tool_ledger where version = '2'`,
  },
}

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** `relation where ...` */
async function untilThereIs(one: string, ...values: string[]): Promise<void> {
  const isThere = (): Promise<boolean> =>
    withControl(async (session) => (await session.query(`select from ${one}`, values)).rowCount === 1)
  while (!(await isThere())) await pause(20)
}

test.each(Object.keys(TEAMS))(
  '%s: an index whose building is killed half-way is valid in the end, in one run',
  async (kind) => {
    const { schema, migrator, migrations = {}, write, recorded } = TEAMS[kind] as Team
    const configuration = { migrator }
    world = await World.create({ migrations, schema: `${schema}; ${SLOWLY}`, configuration })
    await write?.(world.folder)
    await world.startWorker()
    await world.start()
    await untilThereIs('pg_stat_progress_create_index where datname = $1', world.database.name)
    // The index is in the catalogue by now, and not valid.
    await pause(500)
    world.workers[0]?.kill('SIGKILL')
    await world.startWorker()
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
    const index = `select indisvalid as valid from pg_index where indrelid = 'orders'::regclass
    and indexrelid::regclass::text = 'orders_slowly'`
    expect(await world.rows(index)).toEqual([{ valid: true }])
    expect(await world.rows(recorded)).toHaveLength(1)
    expect(await world.journal('select name from {s}.runs')).toHaveLength(1)
    const attempts = await world.journal<{ attempt: number }>(`select attempt from {s}.steps where step = 'migrate'`)
    expect(attempts.length, 'it was killed while it built').toBeGreaterThan(1)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  },
)

/** What a `drop index concurrently` has committed when it is killed in its first wait. */
const HALF_DROPPED = `update pg_index set indisvalid = false where indexrelid = 'orders_by_item'::regclass`
const RESTS = 'select pg_sleep(3)'
const DROP = 'drop index concurrently orders_by_item'
const DROPPING: Record<string, Omit<Team, 'recorded'>> = {
  umzug: {
    schema: '',
    migrator: { kind: 'umzug', dir: 'releases/{tag}' },
    migrations: {
      '0002_half.sql': HALF_DROPPED,
      '0003_rests.sql': RESTS,
      '0004_drop.sql': `-- headgate:no-transaction\n${DROP}`,
    },
  },
  command: {
    schema: `create table tool_ledger (version text primary key); insert into tool_ledger values ('1')`,
    migrator: { kind: 'command', status: [...TOOL, 'status', TOOL_FILE], up: [...TOOL, 'up', TOOL_FILE] },
    write: async (folder) => {
      const first = { version: '1', sql: 'select 1' }
      const drop = { version: '4', sql: DROP, transactional: false }
      const all = [first, { version: '2', sql: HALF_DROPPED }, { version: '3', sql: RESTS }, drop]
      await writeFile(join(folder, 'releases', '1', 'migrations.json'), JSON.stringify([first]))
      await writeFile(join(folder, 'releases', '2', 'migrations.json'), JSON.stringify(all))
    },
  },
}

test.each(Object.keys(DROPPING))(
  '%s: an index that a killed migration was about to drop is left to the migration, which drops it on the next try',
  async (kind) => {
    const { schema, migrator, migrations = {}, write } = DROPPING[kind] as Team
    const configuration = { migrator }
    world = await World.create({
      migrations,
      schema: `${schema}; create index orders_by_item on orders (item)`,
      configuration,
    })
    await write?.(world.folder)
    await world.startWorker()
    await world.start()
    await untilThereIs('pg_stat_activity where datname = $1 and query like $2', world.database.name, `%${RESTS}%`)
    world.workers[0]?.kill('SIGKILL')
    await world.startWorker()
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
    expect(await world.rows(`select 1 where to_regclass('orders_by_item') is not null`)).toEqual([])
    const attempts = await world.journal<{ attempt: number }>(`select attempt from {s}.steps where step = 'migrate'`)
    expect(attempts.length, 'it was killed before it dropped').toBeGreaterThan(1)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  },
)
