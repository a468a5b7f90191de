import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { pendingOf } from '../../../src/activities/make-plan.js'
import { interpreterOf } from '../../../src/adapters/migrator/alembic-graph.js'
import { createMigrator } from '../../../src/adapters/migrator/index.js'
import type { Migrator } from '../../../src/adapters/migrator/port.js'
import { openSession } from '../../../src/adapters/postgres/session.js'
import type { Target } from '../../../src/adapters/postgres/target.js'
import { MigratorConfiguration } from '../../../src/domain/configuration-migrator.js'
import { knownFailure } from '../../../src/domain/failures.js'
import { ASYNCPG_ENV_PY, script, writeAlembicProject } from '../../support/alembic-project.js'
import { ALEMBIC, mergeScript } from '../../support/alembic-release.js'
import { OpenFence } from '../../support/open-fence.js'
import {
  type Fixture,
  failureOf,
  type FixtureMigration,
  markContract,
  migratorContract,
  PASSWORD,
  project,
} from './contract.js'

const created = (folder: string, target: Target, written: object = {}): Migrator =>
  createMigrator(
    MigratorConfiguration.parse({
      ...{ kind: 'alembic', config: join(folder, 'alembic.ini'), command: [ALEMBIC] },
      ...written,
    }),
    { logDirectory: `${folder}-logs`, secrets: [PASSWORD], sources: '', target },
  )
const alembic: Fixture = {
  ...{ kind: 'alembic', knowsFiles: true },
  write: (folder, migrations) => writeAlembicProject(folder, migrations),
  create: (folder, target) => created(folder, target),
}

migratorContract(alembic)
migratorContract({
  ...{ kind: 'alembic-with-asyncpg', knowsFiles: true },
  write: (folder, migrations) => writeAlembicProject(folder, migrations, ASYNCPG_ENV_PY),
  create: (folder, target) => created(folder, target, { driver: 'other' }),
})
markContract(alembic)

it('a ledger that we make has the key that Alembic gives its own', async () => {
  const { migrator, target, look } = await project(alembic, [A])
  await migrator.mark?.({ tag: 'v1', version: 'aa', as: 'applied' }, target, new OpenFence())
  expect(
    await look(`select conname from pg_constraint where conrelid = 'alembic_version'::regclass and contype = 'p'`),
  ).toEqual([{ conname: 'alembic_version_pkc' }])
})

const A: FixtureMigration = { version: 'aa', up: ['create table a (id int)'] }
const EXECUTE = /op\.execute\(.*\)/
const ROWS = `op.get_bind().execute('select 1').fetchall()`
const READS: FixtureMigration = { version: 'bb', up: ['select 2'] }
const READS_TOO: FixtureMigration = { version: 'rr', up: ['select 4'] }
const D: FixtureMigration = { version: 'dd', up: ['select 5'] }
const replaceIn = (file: string, what: RegExp | string, by: string): void =>
  writeFileSync(file, readFileSync(file, 'utf8').replace(what, by))
const writeReading = (folder: string): void => {
  for (const name of ['bb', 'rr']) replaceIn(versions(folder, `${name}.py`), EXECUTE, ROWS)
}
/** Two branches on `aa`, and their merge. */
function writeBranches(folder: string): void {
  const idle = (version: string, down: string): string =>
    script({ version, up: ['select 1'] }, 'aa').replace(`down_revision = 'aa'`, `down_revision = ${down}`)
  writeFileSync(versions(folder, 'bb.py'), idle('bb', `'aa'`))
  writeFileSync(versions(folder, 'cc.py'), idle('cc', `'aa'`))
  writeFileSync(versions(folder, 'mm.py'), idle('mm', `('bb', 'cc')`))
}
const versions = (folder: string, name: string): string => join(folder, 'alembic', 'versions', name)

describe('alembic scripts', () => {
  it('with two heads are refused, with the command that joins them', async () => {
    const { migrator, folder } = await project(alembic, [A])
    writeFileSync(
      versions(folder, 'b.py'),
      script({ version: 'bb', up: [] }, 'aa').replace(/def upgrade\(\):/, '$&\n    pass'),
    )
    writeFileSync(
      versions(folder, 'c.py'),
      script({ version: 'cc', up: [] }, 'aa').replace(/def upgrade\(\):/, '$&\n    pass'),
    )
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({
      code: 'PlanInvalid',
      message: expect.stringMatching(/2 heads: bb, cc; join them with: \S+alembic merge heads/),
    })
  })

  it.each([
    ['two files of one revision', script(A, undefined), 'aa'],
    ['a revision that rests on nothing known', script({ ...A, version: 'bb' }, 'zz'), 'zz'],
    ['a file that is no Python', 'def (', 'SyntaxError'],
  ])('are refused with %s', async (_, text, words) => {
    const { migrator, folder } = await project(alembic, [A])
    writeFileSync(versions(folder, 'other.py'), text)
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({
      code: 'PlanInvalid',
      message: expect.stringContaining(words),
    })
  })

  it('are read without a connection, and without env.py', async () => {
    const { migrator, folder } = await project(alembic, [A])
    writeFileSync(join(folder, 'alembic', 'env.py'), 'raise Exception("env.py ran")')
    const [found] = await migrator.migrations('v1')
    expect(found).toMatchObject({ version: 'aa', name: 'aa', hasDown: false, transactional: true })
    expect(found?.sql).toBeUndefined()
  })

  it('that read rows, which the offline mode has none of, hide the SQL of no other', async () => {
    const { migrator, folder } = await project(alembic, [A, READS, { version: 'cc', up: ['select 3'] }, READS_TOO, D])
    writeReading(folder)
    const found = await migrator.migrations('v1')
    expect(found.map(({ sql }) => sql !== undefined)).toEqual([true, false, true, false, true])
    expect(found[1]?.unread).toEqual({
      ...{ text: expect.stringContaining(`'NoneType' object has no attribute 'fetchall'`), isCertain: false, line: 9 },
    })
  })

  it('that are applied are not asked for their SQL', async () => {
    const { migrator, folder } = await project(alembic, [A, READS, { version: 'cc', up: ['select 3'] }, READS_TOO, D])
    writeReading(folder)
    const found = async (...applied: string[]): Promise<(string | undefined)[]> => {
      const ledger = { exists: true, applied: applied.map((version) => ({ version })) }
      return (await migrator.migrations('v1', ledger)).map(({ sql, unread }) => sql ?? unread?.text.split(':')[0])
    }
    expect(await found('aa', 'bb', 'cc')).toEqual([undefined, undefined, undefined, 'AttributeError', 'select 5;'])
    expect(await found('aa', 'bb', 'cc', 'rr')).toEqual([undefined, undefined, undefined, undefined, 'select 5;'])
    expect(await found('none of these')).toEqual([
      ...['create table a (id int);', 'AttributeError', 'select 3;', 'AttributeError', 'select 5;'],
    ])
  })

  it('on two branches that both read rows hide nothing of what comes after their merge', async () => {
    const { migrator, folder } = await project(alembic, [A])
    writeBranches(folder)
    for (const name of ['bb', 'cc']) replaceIn(versions(folder, `${name}.py`), EXECUTE, ROWS)
    writeFileSync(versions(folder, 'nn.py'), script({ version: 'nn', up: ['select 5'] }, 'mm'))
    const found = new Map((await migrator.migrations('v1')).map((one) => [one.version, one]))
    expect([...found.values()].filter(({ unread }) => unread).map(({ version }) => version)).toEqual(
      expect.arrayContaining(['bb', 'cc']),
    )
    expect(found.get('aa')?.sql).toContain('create table a')
    expect(found.get('nn')?.sql).toBe('select 5;')
  })

  it.each([
    ['a type that is not imported', `op.add_column('a', sa.Column('t', Text()))`, true],
    ['a type that there is not', `op.add_column('a', sa.Column('t', sa.Txt()))`, true],
    ['a module that there is not', 'import no_such_module', true],
    ['a name that a module does not have', 'from os import no_such_name', true],
    ['rows', ROWS, false],
    ['what only the rows give it', 'for row in []: last = row\n    op.execute(last)', false],
  ])('that use %s are told with their line, and whether they would fail: %s', async (_, line, isCertain) => {
    const { migrator, folder } = await project(alembic, [A, READS])
    replaceIn(versions(folder, 'bb.py'), EXECUTE, line)
    replaceIn(versions(folder, 'bb.py'), 'from alembic import op', 'from alembic import op; import sqlalchemy as sa')
    const [, found] = await migrator.migrations('v1')
    expect(found?.sql).toBeUndefined()
    expect(found?.unread).toMatchObject({ isCertain, line: line.includes('\n') ? 10 : 9 })
  })

  it('joined by a merge are all applied once the merge is', async () => {
    const { migrator, folder, up, applied } = await project(alembic, [A])
    const idle = (version: string, down: string): string =>
      script({ version, up: ['select 1'] }, 'aa').replace(`down_revision = 'aa'`, `down_revision = ${down}`)
    writeFileSync(versions(folder, 'b.py'), idle('bb', `'aa'`))
    writeFileSync(versions(folder, 'c.py'), idle('cc', `'aa'`))
    writeFileSync(versions(folder, 'm.py'), idle('mm', `('bb', 'cc')`))
    const planned = (await migrator.migrations('v1')).map(({ version }) => version)
    await up(planned)
    expect((await applied()).sort()).toEqual(['aa', 'bb', 'cc', 'mm'])
  })

  it('of a branch that an applied one does not rest on are pending, and are applied with their merge', async () => {
    const { migrator, folder, up, applied, ledger } = await project(alembic, [A])
    writeBranches(folder)
    const order = (await migrator.migrations('v1')).map(({ version }) => version)
    // The later of the two branches, as Alembic lists them.
    const [first = '', later = ''] = order.slice(1, 3)
    await up(['aa'])
    for (const name of [`${first}.py`, 'mm.py']) rmSync(versions(folder, name))
    await up(['aa', later])
    writeBranches(folder)
    const pending = pendingOf(await migrator.migrations('v1'), await ledger())
    expect(pending.map(({ version }) => version)).toEqual([first, 'mm'])
    await up(order)
    expect((await applied()).sort()).toEqual(['aa', 'bb', 'cc', 'mm'])
  })

  it('of both branches are applied where a stage ends before their merge', async () => {
    const { migrator, folder, up, applied } = await project(alembic, [A])
    writeBranches(folder)
    await up((await migrator.migrations('v1')).map(({ version }) => version).slice(0, 3))
    expect((await applied()).sort()).toEqual(['aa', 'bb', 'cc'])
  })

  it.each([
    ['as Alembic writes it', true, (text: string) => text],
    [
      'that says that there is no way back',
      false,
      (text: string) => text.replace(/pass\n$/, 'raise NotImplementedError()\n'),
    ],
    ['that does something, and nothing on its way down', false, (text: string) => text.replace('pass', 'op.f("")')],
  ])('that are a merge %s have a way down: %s', async (_, hasDown, edited) => {
    const { migrator, folder, up, ledger } = await project(alembic, [A])
    writeBranches(folder)
    writeFileSync(versions(folder, 'mm.py'), edited(mergeScript('mm', ['bb', 'cc'])))
    const found = await migrator.migrations('v1')
    expect(found.at(-1)).toMatchObject({ version: 'mm', hasDown })
    if (!hasDown) return
    await up(found.map(({ version }) => version))
    const ways = await migrator.waysDown?.({ tag: 'v1', target: 'bb' }, await ledger())
    expect(ways?.map(({ version }) => version)).toEqual(['mm'])
  })

  it('of a branch are taken back with what rests on them, and the other branch stays', async () => {
    const { migrator, folder, up, applied, ledger, target } = await project(alembic, [A])
    const made = (version: string, down: string): string =>
      script({ version, up: ['select 1'], down: 'select 2' }, 'aa').replace(
        `down_revision = 'aa'`,
        `down_revision = ${down}`,
      )
    writeFileSync(versions(folder, 'b.py'), made('bb', `'aa'`))
    writeFileSync(versions(folder, 'c.py'), made('cc', `'aa'`))
    writeFileSync(versions(folder, 'm.py'), made('mm', `('bb', 'cc')`))
    await up((await migrator.migrations('v1')).map(({ version }) => version))
    const ways = await migrator.waysDown?.({ tag: 'v1', target: 'bb' }, await ledger())
    expect(ways?.map(({ version }) => version)).toEqual(['mm'])
    const limits = { lockTimeoutMs: 100, statementTimeoutMs: 60_000 }
    await migrator.down?.({ tag: 'v1', target: 'bb', ...limits }, target, new OpenFence())
    expect((await applied()).sort()).toEqual(['aa', 'bb', 'cc'])
  })

  it('that leave their transaction are told, and wait for indexes without a lock timeout', async () => {
    const index: FixtureMigration = {
      version: 'ii',
      up: ['create index concurrently i on a (id)'],
      transactional: false,
    }
    const { migrator, up, target, applied, look } = await project(alembic, [
      A,
      index,
      { version: 'zz', up: ['alter table a add column z int'] },
    ])
    expect((await migrator.migrations('v1')).map(({ transactional }) => transactional)).toEqual([true, false, true])
    await up(['aa'])
    const other = await openSession(target, { applicationName: 'writer' })
    await other.query('begin; insert into a values (1)')
    const running = up(['aa', 'ii', 'zz'])
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    await other.query('commit')
    await running
    await other.end()
    expect(await applied()).toEqual(['aa', 'ii', 'zz'])
    expect(await look('select from pg_index where not indisvalid')).toEqual([])
  })

  it('that are edited while those before them run are refused before Alembic is started for them', async () => {
    const first: FixtureMigration = {
      version: 'aa',
      up: ['create table a (id int)', 'select pg_advisory_xact_lock(8)'],
    }
    const index = (name: string): FixtureMigration => ({
      version: 'ii',
      up: [`create index concurrently ${name} on a (id)`],
      transactional: false,
    })
    const { up, target, look, rewrite, applied, relations } = await project(alembic, [first, index('planned')])
    const other = await openSession(target, { applicationName: 'holds the first one up' })
    await other.query('select pg_advisory_lock(8)')
    const failed = failureOf(up(['aa', 'ii'], new OpenFence(), { lockTimeoutMs: 0 }))
    while ((await look(`select from pg_locks where locktype = 'advisory' and not granted`)).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 50))
    rewrite([first, index('edited')])
    await other.end()
    expect(knownFailure(await failed)).toMatchObject({
      code: 'PlanStale',
      message: expect.stringContaining('ii was edited'),
    })
    expect(await applied()).toEqual(['aa'])
    expect(await relations()).not.toContain('edited')
  })

  it('report their progress', async () => {
    const { up } = await project(alembic, [A])
    const fence = new OpenFence()
    await up(['aa'], fence)
    expect(fence.progressed.join()).toContain('Running upgrade')
  })
})

describe('the alembic command', () => {
  it('that is missing is named', async () => {
    const { folder, target } = await project(alembic, [A])
    const migrator = created(folder, target, { command: ['/no/such/alembic'] })
    expect(knownFailure(await failureOf(migrator.migrations('v1')))?.code).toBe('ToolMissing')
  })

  it('beside a python without alembic is missing', async () => {
    const { folder, target } = await project(alembic, [A])
    const python = join(folder, 'python')
    writeFileSync(python, '#!/bin/sh\nexec python3 -I -S "$@"\n')
    chmodSync(python, 0o755)
    const migrator = created(folder, target, { command: [join(folder, 'alembic')] })
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({
      code: 'ToolMissing',
      message: expect.stringContaining('alembic'),
    })
  })

  it.each([
    [['/venv/bin/alembic'], ['/venv/bin/python']],
    [
      ['uv', 'run', 'alembic'],
      ['uv', 'run', 'python'],
    ],
    [['python3.12', '-m', 'alembic'], ['python3.12']],
  ])('%s reads its scripts with %s', (command, expected) => expect(interpreterOf(command)).toEqual(expected))
})
