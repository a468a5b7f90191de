import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMigrator } from '../../../src/adapters/migrator/index.js'
import type { Migrator } from '../../../src/adapters/migrator/port.js'
import { openSession, withSession } from '../../../src/adapters/postgres/session.js'
import type { Target } from '../../../src/adapters/postgres/target.js'
import { knownFailure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'
import { HAS_SQLX, SQLX, SQLX_LEDGER, writeSqlx } from '../../support/sqlx-release.js'
import { type Fixture, type FixtureMigration, failureOf, migratorContract, PASSWORD, project } from './contract.js'

const TOOL = join(import.meta.dirname, 'tool.mjs')
const tool = (...words: string[]): string[] => [process.execPath, TOOL, ...words]

const created = (
  folder: string,
  target: Target,
  status: string[],
  up = tool('up', '{target}'),
  format: 'json' | 'sqlx-info' = 'json',
): Migrator =>
  createMigrator(
    {
      ...{ kind: 'command', format, status, up, down: tool('down', '{target}') },
      ...{ dir: folder, urlVariable: 'DATABASE_URL' },
    },
    { logDirectory: `${folder}-logs`, secrets: [PASSWORD], sources: '', target },
  )

const command: Fixture = {
  kind: 'command',
  knowsFiles: false,
  write(folder, migrations) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'migrations.json'), JSON.stringify(migrations))
  },
  create: (folder, target) => created(folder, target, tool('status')),
}

migratorContract(command)

describe('a tool that can only go to head', () => {
  it('says so, and does not start when more is pending than planned', async () => {
    const migrations = [
      { version: '1', up: ['select 1'] },
      { version: '2', up: ['select 1'] },
    ]
    const { folder, target, up, plan, applied } = await project(command, migrations)
    const migrator = created(folder, target, tool('status'), tool('up', '2'))
    expect([migrator.stopsAtTarget, created(folder, target, tool('status')).stopsAtTarget]).toEqual([false, true])
    const request = {
      tag: '',
      target: '1',
      planned: await plan(['1']),
      lockTimeoutMs: 100,
      lockBudgetMs: 100,
      statementTimeoutMs: 0,
    }
    expect(knownFailure(await failureOf(migrator.up(request, target, new OpenFence())))).toMatchObject({
      code: 'PlanStale',
      message: expect.stringContaining('2 is pending and was not'),
    })
    expect(await applied()).toEqual([])
    await up(['1', '2'])
  })
})

describe('migrations that leave their transaction', () => {
  /** Each notes what it was called with. */
  const noting = (version: string, rest: Partial<FixtureMigration> = {}): FixtureMigration => {
    const note = `insert into seen values ('${version}', current_setting('lock_timeout'), pg_backend_pid())`
    return { version, up: [note], down: note, ...rest }
  }
  const MIGRATIONS = [
    { version: '1', up: ['create table seen (version text, lock_timeout text, session int)'], down: 'select 1' },
    ...[noting('2'), noting('3', { transactional: false }), noting('4')],
  ]
  const SEEN = 'select version, lock_timeout from seen'
  const SESSIONS = 'select distinct session from seen'

  it('run apart, without a lock timeout, where the tool stops at a target', async () => {
    const { up, look } = await project(command, MIGRATIONS)
    await up(['1', '2', '3', '4'])
    expect(await look(SEEN)).toEqual([
      { version: '2', lock_timeout: '100ms' },
      { version: '3', lock_timeout: '0' },
      { version: '4', lock_timeout: '100ms' },
    ])
  })

  it('leave no call a lock timeout where the tool goes to head', async () => {
    const { folder, target, plan, look } = await project(command, MIGRATIONS)
    const migrator = created(folder, target, tool('status'), tool('up', '4'))
    const planned = await plan(['1', '2', '3', '4'])
    const limits = { lockTimeoutMs: 100, lockBudgetMs: 100, statementTimeoutMs: 0 }
    await migrator.up({ tag: '', target: '4', planned, ...limits }, target, new OpenFence())
    expect((await look<{ lock_timeout: string }>(SEEN)).map((row) => row.lock_timeout)).toEqual(['0', '0', '0'])
    expect(await look(SESSIONS)).toHaveLength(1)
  })

  it('are taken back apart, too', async () => {
    const { migrator, target, up, look, applied } = await project(command, MIGRATIONS)
    await up(['1', '2', '3', '4'])
    await look('delete from seen')
    const limits = { lockTimeoutMs: 100, statementTimeoutMs: 0 }
    await migrator.down?.({ tag: '', target: '1', ...limits }, target, new OpenFence())
    expect(await look(SEEN)).toEqual([
      { version: '4', lock_timeout: '100ms' },
      { version: '3', lock_timeout: '0' },
      { version: '2', lock_timeout: '100ms' },
    ])
    expect(await applied()).toEqual(['1'])
  })

  it('that are edited while those before them run are refused before the tool is started for them', async () => {
    const first = { ...noting('2'), up: ['create table held (id int)', 'select pg_advisory_xact_lock(8)'] }
    const index = (name: string): FixtureMigration => ({
      ...noting('3', { transactional: false }),
      up: [`create index concurrently ${name} on held (id)`],
    })
    const { up, target, look, rewrite, applied, relations } = await project(command, [first, index('planned')])
    const other = await openSession(target, { applicationName: 'holds the first one up' })
    await other.query('select pg_advisory_lock(8)')
    const failed = failureOf(up(['2', '3'], new OpenFence(), { lockTimeoutMs: 0 }))
    while ((await look(`select from pg_locks where locktype = 'advisory' and not granted`)).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 50))
    rewrite([first, index('edited')])
    await other.end()
    expect(knownFailure(await failed)).toMatchObject({
      code: 'PlanStale',
      message: expect.stringContaining('3 was edited'),
    })
    expect(await applied()).toEqual(['2'])
    expect(await relations()).not.toContain('edited')
  })
})

describe('a status as sqlx prints it', () => {
  const info = async (...lines: string[]) => {
    const { folder, target } = await project(command, [])
    return created(folder, target, ['printf', '%s\n', ...lines], undefined, 'sqlx-info')
  }

  it('is read line by line, in colour too, and other lines are passed over', async () => {
    const migrator = await info(
      'INFO connecting',
      '20240101000000/installed: 001_initial_schema',
      '\u001b[36m20240115000000\u001b[0m/\u001b[32minstalled\u001b[0m: llm providers',
      '20240201000000/pending: 003_new_feature (NEW)',
    )
    expect((await migrator.migrations('v1')).map(({ version, name }) => `${version} ${name}`)).toEqual([
      '20240101000000 001_initial_schema',
      '20240115000000 llm providers',
      '20240201000000 003_new_feature (NEW)',
    ])
  })

  it('parts nothing: nobody knows what leaves its transaction, and one call has it all', async () => {
    const { folder, target } = await project(command, [])
    const status = ['printf', '%s\n', '1/pending: a', '2/pending: b', '3/pending: c']
    const up = ['sh', '-c', 'echo "$0 $PGOPTIONS" >> calls', '{target}']
    const migrator = created(folder, target, status, up, 'sqlx-info')
    const planned = await migrator.migrations('v1')
    const limits = { lockTimeoutMs: 100, lockBudgetMs: 100, statementTimeoutMs: 0 }
    await migrator.up({ tag: 'v1', target: '3', planned, ...limits }, target, new OpenFence())
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toMatch(/^3 .*lock_timeout=0\b.*\n$/)
  })

  it('tells what is applied', async () => {
    const { target } = await project(command, [])
    const migrator = await info('1/installed: a', '2/pending: b')
    const ledger = await withSession(target, { applicationName: 'test look' }, (session) => migrator.ledger(session))
    expect(ledger.applied.map(({ version }) => version)).toEqual(['1'])
  })

  it.each([
    ['with an edited migration', '1/installed (different checksum): a', /migration 1 was edited after it was applied/],
    ['without any', 'no migrations here', /knows of no migrations/],
  ])('%s is refused', async (_, line, words) => {
    const migrator = await info(line)
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({
      code: 'PlanInvalid',
      message: expect.stringMatching(words),
    })
  })
})

describe.runIf(HAS_SQLX)('a status by sqlx itself, which makes its table when it is asked', () => {
  const info = async (versions: string[]) => {
    const { folder, target, relations } = await project(command, [])
    writeSqlx(
      folder,
      versions.map((version) => ({ version, up: ['select 1'] })),
    )
    const words = (...more: string[]): string[] => [SQLX, 'migrate', ...more, '--source', folder]
    const migrator = created(folder, target, words('info'), words('run', '--target-version', '{target}'), 'sqlx-info')
    return { migrator, relations, target, run: (sql: string) => on(target, sql) }
  }
  const on = (target: Target, sql: string): Promise<unknown> =>
    withSession(target, { applicationName: 'test look' }, (session) => session.query(sql))

  it('is asked where the table is there, and has nothing to make', async () => {
    const { migrator, target, run } = await info(['1', '2'])
    await run(SQLX_LEDGER)
    await run(`update _sqlx_migrations set checksum = sha384('select 1;')`)
    for (const _ of ['once', 'and again'])
      expect((await migrator.migrations('v1')).map(({ version }) => version)).toEqual(['1', '2'])
    const ledger = await withSession(target, { applicationName: 'test look' }, (session) => migrator.ledger(session))
    expect(ledger.applied.map(({ version }) => version)).toEqual(['1'])
  })

  it('is refused where the table is missing: looking makes none, and says what does', async () => {
    const { migrator, relations } = await info(['1'])
    const failed = knownFailure(await failureOf(migrator.migrations('v1')))
    expect(failed).toMatchObject({ code: 'PlanInvalid', message: expect.stringContaining('_sqlx_migrations') })
    expect(failed?.detail.hint).toContain('once by hand')
    expect(await relations()).toEqual([])
  })
})

describe('a status', () => {
  it.each([
    ['is not JSON', 'hello', 'not JSON'],
    ['has another shape', '{"migrations":[{"version":"1","state":"done"}]}', 'migrations.0.state'],
    [
      'names a version twice',
      '{"migrations":[{"version":"1","state":"pending"},{"version":"1","state":"applied"}]}',
      'twice',
    ],
    ['knows of nothing', '{"migrations":[]}', 'no migrations'],
  ])('that %s is refused', async (_, text, words) => {
    const { folder, target } = await project(command, [])
    const migrator = created(folder, target, ['printf', '%s', text])
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({
      code: 'PlanInvalid',
      message: expect.stringContaining(words),
    })
  })

  it('cannot write', async () => {
    const { folder, target, relations } = await project(command, [{ version: '1', up: ['select 1'] }])
    const migrator = created(folder, target, tool('up', '1'))
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({ code: 'PlanInvalid' })
    expect(await relations()).toEqual([])
  })
})
