import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMigrator } from '../../../src/adapters/migrator/index.js'
import { openSession } from '../../../src/adapters/postgres/session.js'
import { failedWith, knownFailure } from '../../../src/domain/failures.js'
import { writeUmzug } from '../../support/umzug-project.js'
import { OpenFence } from '../../support/open-fence.js'
import {
  type Fixture,
  failureOf,
  type FixtureMigration,
  beginAnewContract,
  markContract,
  migratorContract,
  PASSWORD,
  project,
} from './contract.js'

const umzug: Fixture = {
  kind: 'umzug',
  knowsFiles: true,
  write: writeUmzug,
  create: (folder) =>
    createMigrator(
      { kind: 'umzug', dir: folder, table: 'headgate_migrations' },
      { logDirectory: `${folder}-logs`, secrets: [PASSWORD], sources: '' },
    ),
}

migratorContract(umzug)
markContract(umzug)
beginAnewContract(umzug, `update headgate_migrations set dirty = true, tried = 1 where version = '102'`)

const files = async (written: Record<string, string>) => {
  const made = await project(umzug, [])
  for (const [path, text] of Object.entries(written)) {
    mkdirSync(join(made.folder, path, '..'), { recursive: true })
    writeFileSync(join(made.folder, path), text)
  }
  return made
}
const one = (version: string, ...up: string[]): FixtureMigration => ({ version, up })
const loose = (version: string, ...up: string[]): FixtureMigration => ({ version, up, transactional: false })

describe('a folder of migrations', () => {
  it('is read in the order of its numbers, with phases from directives, names and the folder contract', async () => {
    const { migrator } = await files({
      '10_ten.sql': 'select 1',
      '9_nine.sql': '/* headgate:phase=contract */ select 1',
      '11_eleven.contract.sql': 'select 1',
      'contract/12_twelve.sql': '-- headgate:no-transaction\nselect 1',
      '13_thirteen.ts': '// headgate:phase=contract\nexport async function up() {}\nexport const down = async () => {}',
      'README.md': 'no migration',
      '14_types.d.ts': 'no migration',
    })
    const found = await migrator.migrations('v1')
    expect(
      found.map(({ version, name, phase, transactional, hasDown }) => [version, name, phase, transactional, hasDown]),
    ).toEqual([
      ['9_nine', 'nine', 'contract', true, false],
      ['10_ten', 'ten', 'expand', true, false],
      ['11_eleven', 'eleven', 'contract', true, false],
      ['12_twelve', 'twelve', 'contract', false, false],
      ['13_thirteen', 'thirteen', 'contract', true, true],
    ])
  })

  it.each([
    ['two files of one version', { '1_a.sql': 'select 1', '1_a.ts': 'export const up = () => {}' }, '1_a'],
    ['a way down without a way up', { '1_a.sql': 'select 1', '2_b.down.sql': 'select 1' }, '2_b.up.sql'],
    ['a transaction of its own', { '1_a.sql': 'begin;\nselect 1;\ncommit;' }, 'line 1: "begin"'],
  ])('is refused with %s', async (_, written, words) => {
    const { migrator } = await files(written)
    expect(knownFailure(await failureOf(migrator.migrations('v1')))).toMatchObject({
      code: 'PlanInvalid',
      message: expect.stringContaining(words),
    })
  })

  it('is the one of the tag', async () => {
    const { folder, target } = await files({ 'v2/1_a.sql': 'select 1' })
    const migrator = createMigrator(
      { kind: 'umzug', dir: join(folder, '{tag}'), table: 'ledger' },
      { logDirectory: folder, secrets: [], sources: '', target },
    )
    expect((await migrator.migrations('v2')).map(({ version }) => version)).toEqual(['1_a'])
  })
})

describe('the ledger', () => {
  it('finds a file that was edited after it was applied, before any effect', async () => {
    const { up, rewrite, relations } = await project(umzug, [one('1_a', 'create table a (id int)')])
    await up(['1_a'])
    rewrite([one('1_a', 'create table a (id bigint)'), one('2_b', 'create table b (id int)')])
    const error = await failureOf(up(['1_a', '2_b']))
    expect(knownFailure(error)).toMatchObject({
      code: 'StateUnexpected',
      message: '1_a was edited after it was applied',
    })
    expect(await relations()).not.toContain('b')
  })

  it('finds a file that was added before the newest applied one', async () => {
    const { up, rewrite } = await project(umzug, [one('2_b', 'select 1')])
    await up(['2_b'])
    rewrite([one('1_a', 'select 1'), one('2_b', 'select 1')])
    expect(knownFailure(await failureOf(up(['1_a', '2_b'])))).toMatchObject({
      code: 'StateUnexpected',
      message: '1_a is older than 2_b, which is applied',
    })
  })

  it('may stand in a schema of its own', async () => {
    const { folder, target, look } = await files({ '1_a.sql': 'create schema s' })
    await look('create schema meta')
    const migrator = createMigrator(
      { kind: 'umzug', dir: folder, table: 'meta.ledger' },
      { logDirectory: folder, secrets: [], sources: '', target },
    )
    const planned = await migrator.migrations('')
    await migrator.up(
      { tag: '', target: '1_a', planned, lockTimeoutMs: 100, lockBudgetMs: 100, statementTimeoutMs: 0 },
      target,
      new OpenFence(),
    )
    expect(migrator.ledgerTable).toBe('meta.ledger')
    expect(await look('select version, dirty from meta.ledger')).toEqual([{ version: '1_a', dirty: false }])
  })
})

describe('a file that is edited after it was looked at', () => {
  class EditingFence extends OpenFence {
    readonly #edit: () => void

    constructor(edit: () => void) {
      super()
      this.#edit = edit
    }

    /** Just before the child starts. */
    override async check(): Promise<void> {
      this.#edit()
    }
  }

  it('is refused by the child that reads it', async () => {
    const { up, plan, rewrite, relations } = await project(umzug, [one('1_a', 'create table a (id int)')])
    const planned = await plan(['1_a'])
    const fence = new EditingFence(() => rewrite([one('1_a', 'create table edited (id int)')]))
    expect(knownFailure(await failureOf(up(['1_a'], fence, { planned })))).toMatchObject({
      code: 'PlanStale',
      message: expect.stringContaining('1_a.sql was edited'),
    })
    expect(await relations()).toEqual([])
  })

  it.each([
    ['in a transaction', one],
    ['without a transaction', loose],
  ])('is refused, %s, though the one before it runs already', async (_, made) => {
    const first = one('1_a', 'create table a (id int)', 'select pg_advisory_xact_lock(7)')
    const { up, target, look, rewrite, applied, relations } = await project(umzug, [
      first,
      made('2_b', 'create table b (id int)'),
    ])
    const other = await openSession(target, { applicationName: 'holds the first one up' })
    await other.query('select pg_advisory_lock(7)')
    const failed = failureOf(up(['1_a', '2_b'], new OpenFence(), { lockTimeoutMs: 0 }))
    while ((await look(`select from pg_locks where locktype = 'advisory' and not granted`)).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 20))
    rewrite([first, made('2_b', 'create table edited (id int)')])
    await other.end()
    expect(knownFailure(await failed)).toMatchObject({
      code: 'PlanStale',
      message: expect.stringContaining('2_b.sql was edited'),
    })
    expect(await applied()).toEqual(['1_a'])
    expect(await relations()).not.toContain('edited')
  })
})

describe('a migration in code', () => {
  it('runs in a transaction, in TypeScript and JavaScript, up and down', async () => {
    const { up, applied, relations, migrator, target, look } = await files({
      '1_a.ts': `type Q = { query: (sql: string, values?: unknown[]) => Promise<unknown> }
        export async function up({ query }: Q) { await query('create table a (id int)'); await query('insert into a values ($1)', [7]) }
        export async function down({ query }: Q) { await query('drop table a') }`,
      '2_b.mjs': `export const up = ({ context }) => context.query('create table b (id int)')`,
      'package.json': '{"type":"module"}',
    })
    await up(['1_a', '2_b'])
    expect(await look('select id from a')).toEqual([{ id: 7 }])
    expect(await applied()).toEqual(['1_a', '2_b'])
    const down = migrator.down?.(
      { tag: '', target: '', lockTimeoutMs: 100, statementTimeoutMs: 0 },
      target,
      new OpenFence(),
    )
    expect(knownFailure(await failureOf(down ?? Promise.resolve()))).toMatchObject({
      code: 'PlanInvalid',
      message: 'there is no way down from 2_b',
    })
    expect(await relations()).toContain('a')
  })

  it.each([
    ['ends its transaction', `await query('commit')`, 'would end the transaction'],
    ['swallows an error', `await query('select nope').catch(() => {})`, 'rolled it back'],
    ['throws', `throw new Error('because ${PASSWORD}')`, 'because ***'],
    ['exports nothing', '', 'does not export a function up'],
  ])('leaves nothing when it %s', async (_, body, words) => {
    const text =
      body === ''
        ? 'export const nothing = 1'
        : `export async function up({ query }) { await query('create table a (id int)'); ${body} }`
    const { up, relations } = await files({ '1_a.mjs': text })
    const error = knownFailure(await failureOf(up(['1_a'])))
    expect(error?.message).toContain(words)
    expect(JSON.stringify(error)).not.toContain(PASSWORD)
    expect(await relations()).toEqual([])
  })
})

describe('locks', () => {
  it('are tried for again until they are to be had', async () => {
    const { up, target, applied } = await project(umzug, [
      one('1_a', 'create table a (id int)'),
      one('2_b', 'alter table a add column b int'),
    ])
    await up(['1_a'])
    const other = await openSession(target, { applicationName: 'long report' })
    await other.query('begin; select * from a')
    const fence = new OpenFence()
    const running = up(['1_a', '2_b'], fence, { lockBudgetMs: 60_000 })
    while (!fence.progressed.some((text) => text.includes('long report')))
      await new Promise((resolve) => setTimeout(resolve, 20))
    await other.query('commit')
    await running
    await other.end()
    expect(await applied()).toEqual(['1_a', '2_b'])
  })

  it('that are never to be had are blamed on who holds them', async () => {
    const { up, target } = await project(umzug, [
      one('1_a', 'create table a (id int)'),
      one('2_b', 'alter table a add column b int'),
    ])
    await up(['1_a'])
    const other = await openSession(target, { applicationName: 'long report' })
    await other.query('begin; select * from a')
    const error = knownFailure(await failureOf(up(['1_a', '2_b'])))
    await other.end()
    expect(error).toMatchObject({
      code: 'MigrationBlocked',
      message: expect.stringMatching(/pid \d+ \(postgres, long report, idle in transaction for \d+ s\)/),
    })
  })

  it('are waited for by statements nobody waits behind', async () => {
    const { up, target, applied, look } = await project(umzug, [
      one('1_a', 'create table a (id int)'),
      loose('2_b', 'create index concurrently i on a (id)'),
    ])
    await up(['1_a'])
    const other = await openSession(target, { applicationName: 'writer' })
    await other.query('begin; insert into a values (1)')
    const running = up(['1_a', '2_b'])
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    await other.query('commit')
    await running
    await other.end()
    expect(await applied()).toEqual(['1_a', '2_b'])
    expect(await look('select from pg_index where not indisvalid')).toEqual([])
  })
})

describe('a migration without a transaction', () => {
  const table = one('1_t', 'create table t (id int)', 'insert into t values (1)')

  it('that fails half way is dirty, and goes on from there once it can', async () => {
    const { up, ledger, look } = await project(umzug, [
      table,
      loose('2_l', 'update t set id = id + 1', 'create index on missing (id)', 'update t set id = id * 10'),
    ])
    expect(knownFailure(await failureOf(up(['1_t', '2_l'])))).toMatchObject({
      code: 'MigrationFailed',
      message: expect.stringMatching(/missing.*42P01.*line 3/),
    })
    expect(await ledger()).toMatchObject({ dirty: '2_l', applied: [{ version: '1_t' }] })
    await look('create table missing (id int)')
    await up(['1_t', '2_l'])
    expect(await look('select id from t')).toEqual([{ id: 20 }])
    expect((await ledger()).dirty).toBeUndefined()
  })

  it('that fails at its first statement leaves nothing', async () => {
    const { up, ledger, relations } = await project(umzug, [loose('1_l', 'select nope')])
    expect(failedWith(await failureOf(up(['1_l'])), 'MigrationFailed')).toBe(true)
    expect(await ledger()).toEqual({ exists: false, applied: [] })
    expect(await relations()).toEqual([])
  })

  it('that could not build a unique index leaves no invalid one, and builds it once it can', async () => {
    const { up, look, ledger } = await project(umzug, [
      table,
      loose('2_u', 'create unique index concurrently if not exists u on t (id)'),
    ])
    await up(['1_t'])
    await look('insert into t values (1)')
    expect(knownFailure(await failureOf(up(['1_t', '2_u'])))).toMatchObject({
      code: 'MigrationFailed',
      message: expect.stringContaining('23505'),
    })
    expect(await look(`select from pg_class where relname = 'u'`)).toEqual([])
    expect((await ledger()).dirty).toBeUndefined()
    await look('delete from t where ctid = (select max(ctid) from t)')
    await up(['1_t', '2_u'])
    expect(await look(`select indisvalid from pg_index where indexrelid = 'u'::regclass`)).toEqual([
      { indisvalid: true },
    ])
  })

  it('that was killed while it built an index drops the invalid one and builds it anew', async () => {
    const { up, look, target, ledger } = await project(umzug, [
      table,
      loose('2_u', 'create index concurrently if not exists u on t (id)'),
    ])
    await up(['1_t'])
    const other = await openSession(target, { applicationName: 'writer' })
    await other.query('begin; insert into t values (2)')
    const fence = new OpenFence()
    const failed = failureOf(up(['1_t', '2_u'], fence))
    while ((await look(`select from pg_class where relname = 'u'`)).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 50))
    for (const { pid } of fence.processes) process.kill(-pid, 'SIGKILL')
    await failed
    while ((await look(`select from pg_stat_activity where application_name = '${fence.applicationName}'`)).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 50))
    await other.query('commit')
    await other.end()
    expect(await look(`select indisvalid from pg_index where indexrelid = 'u'::regclass`)).toEqual([
      { indisvalid: false },
    ])
    expect((await ledger()).dirty).toBe('2_u')
    await up(['1_t', '2_u'])
    expect(await look(`select indisvalid from pg_index where indexrelid = 'u'::regclass`)).toEqual([
      { indisvalid: true },
    ])
  })

  it('that finds an invalid index of somebody else`s is not content with it', async () => {
    const { up, look } = await project(umzug, [
      table,
      loose('2_u', 'create unique index concurrently if not exists u on t (id)'),
    ])
    await up(['1_t'])
    await look('insert into t values (1)')
    await look('create unique index concurrently u on t (id)').catch(() => {})
    expect(knownFailure(await failureOf(up(['1_t', '2_u'])))).toMatchObject({
      code: 'MigrationFailed',
      message: expect.stringContaining('invalid'),
    })
  })

  it('whose procedure commits by itself runs it alone, and not again when it was interrupted', async () => {
    const procedure = one(
      '1_p',
      'create table p (id int)',
      'create procedure work() language plpgsql as $$ begin insert into p values (1); commit; perform 1 / (select count(*) - 1 from p); end $$',
    )
    const { up, look } = await project(umzug, [procedure, loose('2_c', 'call work()')])
    expect(failedWith(await failureOf(up(['1_p', '2_c'])), 'MigrationFailed')).toBe(true)
    expect(await look('select count(*)::int as n from p')).toEqual([{ n: 1 }])
    expect(knownFailure(await failureOf(up(['1_p', '2_c'])))).toMatchObject({
      code: 'StateUnexpected',
      message: expect.stringContaining('cannot be known'),
    })
    expect(await look('select count(*)::int as n from p')).toEqual([{ n: 1 }])
  })

  it('leaves nothing of its settings to the next one', async () => {
    const { up, relations, applied } = await project(umzug, [
      loose('1_s', `set search_path = ''`, 'set role pg_monitor'),
      one('2_t', 'create table t (id int)'),
    ])
    await up(['1_s', '2_t'])
    expect(await applied()).toEqual(['1_s', '2_t'])
    expect(await relations()).toContain('t')
  })
})

it('keeps the whole output in a log without the password', async () => {
  const { up, folder } = await project(umzug, [one('1_n', `do $$ begin raise notice 'hello ${PASSWORD}'; end $$`)])
  const { log } = await up(['1_n'])
  expect(log.startsWith(`${folder}-logs`)).toBe(true)
  expect(readdirSync(`${folder}-logs`)).toHaveLength(1)
})

it('a login that the server refuses is told as that, not as a defect', async () => {
  const { up, target } = await project(umzug, [one('1_t', 'select 1')])
  target.user = 'nobody at all'
  expect(failedWith(await failureOf(up(['1_t'])), 'LoginRefused')).toBe(true)
})
