import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { ALEMBIC, ALEMBIC_LEDGER, DROP, FIRST, NOTE, writeAlembic } from '../support/alembic-release.js'
import { HAS_SQLX, SQLX } from '../support/sqlx-release.js'
import { createDatabase, withControl } from '../support/test-database.js'
import { World, type WorldOptions } from '../support/world.js'

const RELEASE = {
  '0002_note.sql': `alter table orders add column note text;\nalter table orders alter column item type varchar(400);\nupdate orders set note = 'x'`,
  '0003_index.sql': `-- headgate:no-transaction\ncreate index concurrently orders_by_item on orders (item)`,
  '0004_item.contract.sql': 'alter table orders alter column item drop not null',
}

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

async function begun(options: Partial<WorldOptions>): Promise<void> {
  world = await World.create({ migrations: RELEASE, ...options })
  await world.startWorker()
}
const rehearse = (): ReturnType<World['typed']> => world.typed('rehearse', 'staging', '--tag', '2')
const scratch = async (): Promise<string[]> => (await world.siblings()).filter((name) => name.includes('__r_'))

describe('a rehearsal', () => {
  test('applies the pending migrations to the newest backup, tells what each statement did, and leaves the database as it is', async () => {
    await begun({})
    expect(await world.typed('backup', 'staging')).toMatchObject({ exit: 0 })
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 0 })
    const { stdout } = rehearsed
    expect(stdout).toMatch(/^rehearsal of staging, tag 2, on a copy of dump pre_migration_\S+, taken /m)
    expect(stdout).toMatch(/ {2}0002_note {2}expand, [\d.]+ s\n/)
    expect(stdout).toMatch(/alter table orders add column note text\n +holds orders ACCESS EXCLUSIVE for [\d.]+ s\n/)
    expect(stdout).toMatch(/alter column item type varchar\(400\)\n +writes anew: orders/)
    expect(stdout).toMatch(/update orders set note = ''\n +writes \d+ rows/)
    expect(stdout).toMatch(/ {2}0004_item {2}contract, /)
    expect(await world.rows('select version from headgate_migrations')).toHaveLength(1)
    expect(await scratch()).toEqual([])

    const plan = await world.typed('plan', 'staging', '--tag', '2')
    expect(plan.text).toMatch(
      /rehearsed [\d.]+ s, \S+ \S+ UTC on a dump of [\d.]+ MB\n +held orders ACCESS EXCLUSIVE for/,
    )
    await world.release('2', { ...RELEASE, '0002_note.sql': 'alter table orders add column other text' })
    const other = await world.typed('plan', 'staging', '--tag', '2')
    expect(other.text.match(/rehearsed/g), 'a file that is another one now was not rehearsed').toHaveLength(2)
    await world.quiet()
    expect(await world.lost()).toEqual([])
  })

  test('is not made on a backup that has what is pending now, and of nothing pending there is nothing to try', async () => {
    await begun({ migrations: { '0002_note.sql': 'alter table orders add column note text' } })
    const repair = (how: string): ReturnType<World['typed']> =>
      world.typed('repair', 'staging', how, '0002_note', '--tag', '2')
    expect(await repair('mark-applied')).toMatchObject({ exit: 0 })
    expect(await world.typed('backup', 'staging')).toMatchObject({ exit: 0 })
    const nothing = await rehearse()
    expect(nothing, nothing.text).toMatchObject({ exit: 0 })
    expect(nothing.text).toContain('nothing is pending')
    expect(await repair('mark-pending')).toMatchObject({ exit: 0 })
    const refused = await rehearse()
    expect(refused, refused.text).toMatchObject({ exit: 4 })
    expect(refused.text).toContain('every backup of staging has migrations that are pending now')
    expect(await world.typed('backup', 'staging')).toMatchObject({ exit: 0 })
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 0 })
    expect(rehearsed.text).toContain('0002_note')
  })

  test('on a backup from before the newest release says that rows that came since were not there', async () => {
    await begun({ migrations: { '0002_note.sql': 'alter table orders add column note text' } })
    await world.start()
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
    const migrations = { '0002_note.sql': 'alter table orders add column note text', '0003_more.sql': 'select 1' }
    await world.release('3', migrations)
    const stale = await world.typed('rehearse', 'staging', '--tag', '3')
    expect(stale, stale.text).toMatchObject({ exit: 0 })
    expect(stale.text).toMatch(
      /warn +the copy is from before 0002_note: rows that were written since were not tried; headgate backup staging/,
    )
    expect(await world.typed('backup', 'staging')).toMatchObject({ exit: 0 })
    expect((await world.typed('rehearse', 'staging', '--tag', '3')).text).not.toContain('from before')
  })

  test('of a migration that fails says what it fails of, and is remembered by the plan', async () => {
    await begun({ migrations: { '0002_note.sql': 'alter table orders add column note text; select 1 / 0' } })
    await world.typed('backup', 'staging')
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 4 })
    expect(rehearsed.stdout).toContain('failed   0002_note: division by zero (22012)')
    expect((await world.typed('plan', 'staging', '--tag', '2')).text).toMatch(/rehearsed it failed, .*division by zero/)
    expect(await scratch()).toEqual([])
  })

  test('of a release that lacks what is applied is refused, as its plan is', async () => {
    await begun({})
    await world.typed('backup', 'staging')
    await world.release('0', { '0001_orders.sql': 'select 0' })
    const answer = await world.typed('rehearse', 'staging', '--tag', '0')
    expect(answer.exit, answer.text).not.toBe(0)
    expect(answer.text).toContain('0001_orders was edited after it was applied')
  })

  test('without a backup says how to have one', async () => {
    await begun({})
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 4 })
    expect(rehearsed.text).toContain('there is no backup of staging to rehearse on')
    expect(rehearsed.text).toContain('headgate backup staging')
  })

  test('on a configured database copies that, and leaves it as it is', async () => {
    const nightly = await createDatabase()
    await begun({ writesLate: true, configuration: { rehearsal: { from: nightly.url } } })
    await withControl((control) => control.query(`drop database ${nightly.name}`))
    await createDatabase(nightly.name, world.database.name)
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 0 })
    expect(rehearsed.stdout).toContain(`on a copy of database ${nightly.name}`)
    expect(await world.rows('select version from headgate_migrations', nightly.name)).toHaveLength(1)
  })

  test.each([
    ['gets on with', 'exit 0', 0],
    ['does not get on with', 'echo "column note is new to me" >&2; exit 1', 4],
  ])('has the previous image use the expanded copy: it %s it', async (words, body, exit) => {
    await begun({ writesLate: true, configuration: { rehearsal: { previous: ['./bin/previous', '{previous}'] } } })
    await world.script(
      'previous',
      `[ "$1" = 1 ] || exit 3; psql -XAtc 'select note from orders' >/dev/null || exit 4; ${body}`,
    )
    await world.typed('backup', 'staging')
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit })
    expect(rehearsed.stdout).toContain(
      exit === 0 ? 'previous   uses the expanded copy' : `${words} the expanded copy: column note`,
    )
  })

  test('where it is required no run begins without it', async () => {
    await begun({ configuration: { rehearsal: { required: true }, approval: 'none' } })
    const refused = await world.typed('deploy', 'staging', '--tag', '2')
    expect(refused, refused.text).toMatchObject({ exit: 4 })
    expect(refused.text).toContain('E137')
    expect(refused.text).toContain('0002_note was not rehearsed, and 2 more')
    await world.typed('backup', 'staging')
    expect(await rehearse()).toMatchObject({ exit: 0 })
    const deployed = await world.typed('deploy', 'staging', '--tag', '2')
    expect(deployed, deployed.text).toMatchObject({ exit: 0 })
    expect(deployed.text).toMatch(/2 applied, now at 0003_index; [\d.]+ s in the rehearsal, on [\d.]+ MB/)
  })

  test('does not count where the previous image did not get on with the copy', async () => {
    const configuration = { rehearsal: { required: true, previous: ['/bin/false'] }, approval: 'none' }
    await begun({ writesLate: true, configuration })
    await world.typed('backup', 'staging')
    expect(await rehearse()).toMatchObject({ exit: 4 })
    const refused = await world.typed('deploy', 'staging', '--tag', '2')
    expect(refused, refused.text).toMatchObject({ exit: 4 })
    expect(refused.text).toContain('the image of before does not get on with what 0002_note belongs to')
  })

  test('of contract migrations alone does not ask the previous image: it never meets them', async () => {
    const migrations = { '0002_a.contract.sql': 'select 1', '0003_b.contract.sql': 'select 1' }
    await begun({ migrations, configuration: { rehearsal: { previous: ['/bin/false'] } } })
    await world.typed('backup', 'staging')
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 0 })
    expect(rehearsed.stdout).not.toContain('  previous ')
  })

  test('changes nothing of the server but the copy', async () => {
    await begun({ migrations: { '0002_role.sql': 'alter table orders add column note text; create role rehearsed' } })
    await world.typed('backup', 'staging')
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 4 })
    expect(rehearsed.stdout).toContain('create role rehearsed changes more than the copy')
    expect(await world.rows(`select from pg_roles where rolname = 'rehearsed'`)).toEqual([])
  })

  test('on the database itself is refused', async () => {
    await begun({})
    await world.configure({ rehearsal: { from: world.database.url } })
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 4 })
    expect(rehearsed.text).toContain('rehearsal.from is the database of staging itself')
  })

  test('whose worker is killed is begun anew by the next one, and leaves nothing', async () => {
    await begun({ migrations: { '0002_slow.sql': 'select pg_sleep(5)' } })
    await world.typed('backup', 'staging')
    const rehearsing = rehearse()
    const asleep = `select from pg_stat_activity where query like '%pg_sleep(5)%' and datname like '%\\_\\_r\\_%'`
    while ((await withControl((control) => control.query(asleep))).rowCount === 0) await pause(20)
    world.workers.at(-1)?.kill('SIGKILL')
    await world.startWorker()
    const rehearsed = await rehearsing
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 0 })
    expect(await scratch()).toEqual([])
  })
})

describe('the tools', () => {
  test.runIf(HAS_SQLX)('sqlx, which sends a file as one message, is measured statement by statement', async () => {
    await begun({
      migrations: {
        '0002_note.sql': 'alter table orders add column note text;\ncreate index orders_by_item on orders (item);',
      },
      schema: `create table _sqlx_migrations (version bigint primary key, description text not null,
        installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null);
      insert into _sqlx_migrations values (1, 'orders', now(), true, sha384(E'-- the schema of release 1\\nselect 1'), 1)`,
      configuration: { migrator: { kind: 'sqlx', dir: 'releases/{tag}', command: [SQLX] } },
    })
    await world.typed('backup', 'staging')
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 0 })
    expect(rehearsed.stdout).toMatch(
      /s {2}alter table orders add column note text\n +holds orders ACCESS EXCLUSIVE for/,
    )
    expect(rehearsed.stdout).toMatch(/s {2}create index orders_by_item on orders \(item\)/)
    expect(await world.rows('select version from _sqlx_migrations')).toHaveLength(1)
  })

  test('Alembic is measured, too', async () => {
    world = await World.create({
      migrations: {},
      schema: ALEMBIC_LEDGER,
      configuration: { migrator: { kind: 'alembic', config: 'releases/{tag}/alembic.ini', command: [ALEMBIC] } },
    })
    await writeAlembic(join(world.folder, 'releases', '1'), [FIRST])
    await writeAlembic(join(world.folder, 'releases', '2'), [FIRST, NOTE, DROP])
    await world.startWorker()
    await world.typed('backup', 'staging')
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 0 })
    expect(rehearsed.stdout).toMatch(
      / {2}b2 {2}expand, .*\n.*alter table orders add column note text\n +holds orders ACCESS EXCLUSIVE/,
    )
    expect(rehearsed.stdout).toMatch(/ {2}c3 {2}contract, /)
    expect(await world.rows('select version_num from alembic_version')).toEqual([{ version_num: 'a1' }])
  })

  test('a tool that connects elsewhere is refused before it does anything', async () => {
    world = await World.create({ migrations: {}, schema: ALEMBIC_LEDGER })
    await world.configure({ migrator: { kind: 'alembic', config: 'releases/{tag}/alembic.ini', command: [ALEMBIC] } })
    const elsewhere = `
from alembic import context
from sqlalchemy import create_engine, pool
with create_engine('${world.database.url.replace('postgres:', 'postgresql+psycopg2:')}', poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
`
    await writeAlembic(join(world.folder, 'releases', '1'), [FIRST])
    await writeAlembic(join(world.folder, 'releases', '2'), [FIRST, NOTE], elsewhere)
    await world.startWorker()
    await world.typed('backup', 'staging')
    const rehearsed = await rehearse()
    expect(rehearsed, rehearsed.text).toMatchObject({ exit: 4 })
    expect(rehearsed.text).toContain('the migrator did not come to the copy')
    expect(await world.rows('select version_num from alembic_version')).toEqual([{ version_num: 'a1' }])
  })
})
