import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { serverTarget, withControl } from '../support/test-database.js'
import { withSession } from '../../src/adapters/postgres/session.js'
import { targetUrl } from '../../src/adapters/postgres/target.js'
import { World } from '../support/world.js'

const PAGE = fileURLToPath(new URL('../../docs/security.md', import.meta.url))
const EXPAND = { '0002_note.sql': 'alter table orders add column note text' }
/** Half of it commits, then it fails. */
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    update orders set item = 'half';
    create unique index concurrently on orders (item)`,
}

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** The statements of the page, for a database and roles of another name. */
async function statements(name: string): Promise<string[]> {
  const page = await readFile(PAGE, 'utf8')
  const [, before = ''] = page.split('<!-- grants -->')
  const blocks = [...(before.split('<!-- /grants -->')[0]?.matchAll(/```sql\n(.*?)```/gs) ?? [])]
  expect(blocks).toHaveLength(3)
  return blocks.map(([, sql = '']) =>
    sql
      .replaceAll(/--.*$/gm, '')
      .replaceAll(/\bshop\b/g, name)
      .replaceAll(/\bshop_/g, `${name}_`),
  )
}

/** A world whose worker and service have exactly the roles of the page. */
async function found(migrations: Record<string, string>, backup: string): Promise<void> {
  const environment: Record<string, unknown> = {}
  world = await World.create({ migrations, environment, writesLate: true, configuration: { backup: { kind: backup } } })
  const { name, target } = world.database
  const [server = '', inside = '', journal = ''] = await statements(name)
  await withControl(async (control) => {
    for (const sql of server.split(';').filter((one) => one.trim())) await control.query(sql)
    // The tests' server has one journal for all projects.
    const { rowCount } = await control.query(`select 1 from pg_database where datname = 'headgate'`)
    if (rowCount === 0) await control.query('create database headgate')
    await control.query(journal)
  })
  await world.rows(inside)
  for (const table of ['orders', 'stock', 'headgate_migrations'])
    await world.rows(`alter table ${table} owner to ${name}_migrate`)
  const as = (role: string): string => targetUrl({ ...target, user: `${name}_${role}` })
  Object.assign(environment, {
    url: as('migrate'),
    urls: { control: as('control'), backup: as('backup'), verify: as('verify') },
  })
  await world.configure({ backup: { kind: backup, to: `file://${world.folder}/backups` } })
  world.database.url = as('app')
  world.startWriters()
  await world.startWorker()
}

/** Who owns and may do what. */
const owned = (): Promise<unknown[]> =>
  world.rows(
    `select datname as name, datdba::regrole::text as owner, coalesce(datacl, acldefault('d', datdba))::text as acl
       from pg_database where datname = current_database()
     union all
     select relname, relowner::regrole::text, relacl::text from pg_class where relnamespace = 'public'::regnamespace
      order by 1`,
  )

/** No role of the page is a superuser, or a member of one. */
const superusers = (): Promise<unknown[]> =>
  world.rows(
    `select r.rolname from pg_roles r, pg_roles s
      where starts_with(r.rolname, '${world.database.name}_') and s.rolsuper and pg_has_role(r.oid, s.oid, 'member')`,
    'postgres',
  )

test('with no more than these grants a release is deployed, and doctor misses nothing', async () => {
  await found(EXPAND, 'auto')
  expect(await superusers()).toEqual([])
  const doctor = await world.typed('doctor', 'staging', '--tag', '2')
  expect(doctor, doctor.text).toMatchObject({ exit: 0 })
  expect(doctor.text).toMatch(/automatic restore +possible/)
  const answer = await world.typed('deploy', 'staging', '--tag', '2')
  expect(answer, answer.text).toMatchObject({ exit: 0 })
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test.each(['clone', 'dump'])(
  'with no more than these grants a half-committed migration is put back from a %s',
  async (kind) => {
    await found(HALF, kind)
    const before = await owned()
    const answer = await world.typed('deploy', 'staging', '--tag', '2')
    expect(answer, answer.text).toMatchObject({ exit: 5 })
    expect(answer.text).toContain('restored')
    await world.quiet()
    expect(await world.rows(`select key from orders where item = 'half'`)).toEqual([])
    expect(await world.lost()).toEqual([])
    expect(await owned()).toEqual(before)
  },
)

test('whom the application logs in as is blocked by a role that may change it, and by no other', async () => {
  await found(HALF, 'dump')
  const { name } = world.database
  const backup = { kind: 'auto', to: `file://${world.folder}/backups` }
  await world.configure({ backup, quiesce: { roles: [`${name}_app`] }, services: {} })
  const refused = await world.typed('plan', 'staging', '--tag', '2')
  expect(refused.text).toContain(
    `no automatic restore here, because role ${name}_control may not change role ${name}_app`,
  )
  await withControl((control) => control.query(`alter role ${name}_control createrole`))
  const answer = await world.typed('deploy', 'staging', '--tag', '2')
  expect(answer, answer.text).toMatchObject({ exit: 5 })
  expect(answer.text).toContain('restored')
  const written = world.acknowledged.length
  while (world.acknowledged.length <= written) await new Promise((resolve) => setTimeout(resolve, 20))
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test.each([
  { right: 'to create databases', take: 'alter role :n_control nocreatedb', grant: 'alter role ":n_control" createdb' },
  {
    right: 'of the owner',
    take: 'revoke :n_migrate from :n_control',
    grant: 'alter database ":n" owner to ":n_control"',
  },
  {
    right: 'to see sessions',
    take: 'revoke pg_read_all_stats from :n_control',
    grant: 'grant pg_read_all_stats to ":n_control"',
  },
  {
    right: 'to end sessions',
    take: 'revoke pg_signal_backend from :n_control',
    grant: 'grant pg_signal_backend to ":n_control"',
  },
  {
    right: 'to give a role the settings that it has in the database',
    take: `alter role :n_app in database :n set statement_timeout = '20s'`,
    grant: 'alter role ":n_control" createrole',
  },
  {
    right: 'to set what the database has set',
    take: 'alter database :n set log_min_duration_statement = 500',
    grant: 'grant set on parameter log_min_duration_statement to ":n_control"',
  },
])(
  'without the right $right doctor says what to grant, and the plan that nothing is restored by itself',
  async ({ take, grant }) => {
    await found(EXPAND, 'dump')
    const named = (sql: string): string => sql.replaceAll(':n', world.database.name)
    await withControl((control) => control.query(named(take)))
    const doctor = await world.typed('doctor', 'staging', '--tag', '2')
    expect(doctor.text).toContain(`${named(grant)};`)
    expect(doctor.text).toMatch(/automatic restore +not possible here/)
    expect((await world.typed('plan', 'staging', '--tag', '2')).text).toContain(
      'no automatic restore here, because role',
    )
  },
)

test('what the role of the backup may not read is named by doctor, and stops the run before anybody is', async () => {
  await found(EXPAND, 'dump')
  const { name } = world.database
  await withControl((control) => control.query(`revoke pg_read_all_data from ${name}_backup`))
  await withSession(serverTarget(name), { applicationName: 'test prepare' }, async (session) => {
    await session.query(`select lo_from_bytea(4711, 'a picture')`)
    await session.query(`alter large object 4711 owner to ${name}_migrate`)
  })
  const grants = [`grant pg_read_all_data to ${name}_backup;`, `grant ${name}_migrate to ${name}_backup;`]
  const doctor = await world.typed('doctor', 'staging', '--tag', '2')
  for (const grant of grants) expect(doctor.text).toContain(grant)
  const refused = await world.typed('deploy', 'staging', '--tag', '2')
  expect(refused, refused.text).toMatchObject({ exit: 4 })
  for (const grant of grants) expect(refused.text).toContain(grant)
  expect(refused.text).not.toContain('pause-consumers')
  await withControl(async (control) => {
    for (const grant of grants) await control.query(grant)
  })
  expect(await world.typed('deploy', 'staging', '--tag', '2')).toMatchObject({ exit: 0 })
})
