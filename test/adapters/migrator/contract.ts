import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Migrator, UpRequest } from '../../../src/adapters/migrator/port.js'
import { openSession, withSession } from '../../../src/adapters/postgres/session.js'
import type { Target } from '../../../src/adapters/postgres/target.js'
import { isAlive } from '../../../src/adapters/process/process-group.js'
import { failedWith, failure, knownFailure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'
import { createDatabase, withControl } from '../../support/test-database.js'

export interface FixtureMigration {
  version: string
  up: string[]
  down?: string
  transactional?: boolean
  phase?: 'contract'
}

export interface Fixture {
  kind: string
  /** Whether files and ledger are compared by us: a tool that owns both does that itself. */
  knowsFiles: boolean
  /** Writes a project with exactly these migrations. */
  write(folder: string, migrations: FixtureMigration[]): void
  create(folder: string, target: Target): Migrator
  /** Takes the project away from where the migrator finds it; without this its folder. */
  discard?(folder: string): void
}

export const PASSWORD = 'sEcret-Pw-7'

/** A project in a folder of its own, and a new database. */
export async function project(fixture: Fixture, migrations: FixtureMigration[]) {
  const folder = mkdtempSync(join(tmpdir(), `hg-${fixture.kind}-`))
  folders.push(folder)
  fixture.write(folder, migrations)
  const target = { ...(await createDatabase()).target, password: PASSWORD }
  const migrator = fixture.create(folder, target)
  const look = <T>(sql: string): Promise<T[]> =>
    withSession(target, { applicationName: 'test look' }, async (session) => (await session.query(sql)).rows)
  const ledger = () =>
    withSession(target, { applicationName: 'test look', readOnly: true }, (session) => migrator.ledger(session, 'v1'))
  const applied = async (): Promise<string[]> => (await ledger()).applied.map(({ version }) => version)
  const relations = async (): Promise<string[]> =>
    (
      await look<{ relname: string }>(
        `select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'i') order by 1`,
      )
    ).map((row) => row.relname)
  /** As the files are now. */
  const plan = async (versions: string[]): Promise<UpRequest['planned']> => {
    const files = await migrator.migrations('v1')
    return versions.map((version) => ({
      version,
      checksum: files.find((one) => one.version === version)?.checksum ?? '',
    }))
  }
  const up = async (versions: string[], fence = new OpenFence(), request: Partial<UpRequest> = {}) => {
    const planned = request.planned ?? (await plan(versions))
    return migrator.up({ tag: 'v1', target: versions.at(-1) ?? '', ...LIMITS, ...request, planned }, target, fence)
  }
  return {
    folder,
    target,
    migrator,
    look,
    ledger,
    applied,
    relations,
    plan,
    up,
    rewrite: (now: FixtureMigration[]) => fixture.write(folder, now),
  }
}

const folders: string[] = []
// Of the file that takes this in.
afterAll(() => {
  for (const folder of folders.splice(0))
    for (const made of [folder, `${folder}-logs`]) rmSync(made, { recursive: true, force: true })
})
const LIMITS = { lockTimeoutMs: 100, lockBudgetMs: 400, statementTimeoutMs: 60_000 }

export const failureOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

const A: FixtureMigration = { version: '101', up: ['create table a (id int)'], down: 'drop table a' }
const B: FixtureMigration = { version: '102', up: ['create table b (id int)'], down: 'drop table b' }
const C: FixtureMigration = {
  version: '103',
  up: ['alter table a add column c int'],
  down: 'alter table a drop column c',
  phase: 'contract',
}
const SLEEPS: FixtureMigration = { version: '101', up: ['create table half (id int)', 'select pg_sleep(60)'] }

/** What every migrator promises, on a real server. */
export function migratorContract(fixture: Fixture): void {
  describe(`${fixture.kind}: files and ledger`, () => {
    it('tells the migrations in order, and all of them are pending on an empty database, where looking creates nothing', async () => {
      const { migrator, ledger, relations } = await project(fixture, [A, B, C])
      const found = await migrator.migrations('v1')
      expect(found.map(({ version, phase }) => [version, phase])).toEqual([
        ['101', 'expand'],
        ['102', 'expand'],
        ['103', 'contract'],
      ])
      expect(new Set(found.map(({ checksum }) => checksum)).size).toBe(3)
      expect(found.map(({ hasDown }) => hasDown)).toEqual([true, true, true])
      expect((await ledger()).applied).toEqual([])
      expect(await relations()).toEqual([])
    })

    it('shows the SQL it will run', async () => {
      const { migrator } = await project(fixture, [A, B])
      const found = await migrator.migrations('v1')
      expect(found.map(({ sql }) => sql?.toLowerCase())).toEqual([
        expect.stringContaining('create table a'),
        expect.stringContaining('create table b'),
      ])
    })

    it('refuses a project without migrations', async () => {
      const { migrator } = await project(fixture, [])
      expect(failedWith(await failureOf(migrator.migrations('v1')), 'PlanInvalid')).toBe(true)
    })

    it('refuses a project that is not there', async () => {
      const { migrator, folder } = await project(fixture, [A])
      if (fixture.discard) fixture.discard(folder)
      else rmSync(folder, { recursive: true })
      expect(knownFailure(await failureOf(migrator.migrations('v1')))?.code).toMatch(/PlanInvalid|ToolMissing/)
    })

    it('tells its tools', async () => {
      const { migrator } = await project(fixture, [A])
      expect((await migrator.describe('v1')).length).toBeGreaterThan(0)
    })
  })

  describe(`${fixture.kind}: up`, () => {
    it('goes to the target and no further, then on; what is applied is not applied twice', async () => {
      const { up, applied, relations } = await project(fixture, [A, B, C])
      await up(['101'])
      expect(await applied()).toEqual(['101'])
      expect(await relations()).not.toContain('b')
      await up(['101'])
      await up(['101', '102', '103'])
      expect(await applied()).toEqual(['101', '102', '103'])
      await up(['101', '102', '103'])
    })

    it('refuses what is pending and not planned, before any effect', async () => {
      const { up, applied } = await project(fixture, [A, B, C])
      expect(knownFailure(await failureOf(up(['101', '103'])))).toMatchObject({
        code: 'PlanStale',
        message: expect.stringContaining('102'),
      })
      expect(await applied()).toEqual([])
    })

    it('refuses what was edited or taken away since it was planned, before any effect', async () => {
      const { up, plan, rewrite, applied, relations } = await project(fixture, [A, B, C])
      const versions = ['101', '102', '103']
      const planned = await plan(versions)
      for (const now of [
        [A, { ...B, up: ['create table b (id bigint)'] }, C],
        [A, B],
      ]) {
        rewrite(now)
        expect(knownFailure(await failureOf(up(versions, new OpenFence(), { planned })))).toMatchObject({
          code: 'PlanStale',
          message: expect.stringContaining(now.length === 3 ? '102 was edited' : '103 is missing'),
        })
        expect(await applied()).toEqual([])
        expect(await relations()).toEqual([])
      }
      rewrite([A, B, C])
      await up(versions, new OpenFence(), { planned })
      expect(await applied()).toEqual(versions)
    })

    if (fixture.knowsFiles)
      it('refuses a ledger that has what the files do not', async () => {
        const { up, rewrite } = await project(fixture, [A, B])
        await up(['101', '102'])
        rewrite([A])
        expect(knownFailure(await failureOf(up(['101'])))).toMatchObject({
          code: 'StateUnexpected',
          message: expect.stringContaining('102'),
        })
      })

    it('runs in sessions with the name of the fence, and with limits', async () => {
      const settings = [
        'application_name',
        'lock_timeout',
        'statement_timeout',
        'client_connection_check_interval',
        'idle_in_transaction_session_timeout',
      ]
      const seen = {
        version: '101',
        up: [
          `create table seen as select name, setting from pg_settings where name in (${settings.map((name) => `'${name}'`).join()})`,
        ],
      }
      const { up, look } = await project(fixture, [seen])
      await up(['101'], new OpenFence({ applicationName: 'hg:0a1b2c3d:7:migrate' }))
      const rows = await look<{ name: string; setting: string }>('select * from seen')
      expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
        application_name: 'hg:0a1b2c3d:7:migrate',
        lock_timeout: '100',
        statement_timeout: '60000',
        client_connection_check_interval: '1000',
        idle_in_transaction_session_timeout: '60000',
      })
    })

    it('that fails in a transaction leaves nothing and says why, without a secret', async () => {
      const broken = { version: '102', up: ['create table left_over (id int)', `select '${PASSWORD}'::int`] }
      const { up, applied, relations } = await project(fixture, [A, broken])
      const error = await failureOf(up(['101', '102']))
      expect(knownFailure(error)).toMatchObject({
        code: 'MigrationFailed',
        message: expect.stringContaining('invalid input syntax for type integer'),
      })
      expect(JSON.stringify([knownFailure(error), String(error)])).not.toContain(PASSWORD)
      expect(await relations()).not.toContain('left_over')
      expect(await applied()).not.toContain('102')
    })

    it('that fails first of all leaves not even a ledger', async () => {
      const { up, relations } = await project(fixture, [{ version: '101', up: ['select no_such_column'] }])
      expect(failedWith(await failureOf(up(['101'])), 'MigrationFailed')).toBe(true)
      expect(await relations()).toEqual([])
    })

    it('that does not get its lock is blocked, and changed nothing', async () => {
      const { up, target, applied } = await project(fixture, [A, C])
      await up(['101'])
      const other = await openSession(target, { applicationName: 'long report' })
      await other.query('begin; select * from a')
      const error = await failureOf(up(['101', '103']))
      await other.end()
      expect(knownFailure(error)?.code).toBe('MigrationBlocked')
      expect(await applied()).toEqual(['101'])
      await up(['101', '103'])
    })

    it('whose child is killed leaves no session, and can run again', async () => {
      const { up, applied, relations, rewrite } = await project(fixture, [SLEEPS])
      const fence = new OpenFence({ applicationName: `hg:00000000:${folders.length}:killed` })
      const failed = failureOf(up(['101'], fence))
      await Promise.race([sessions(fence.applicationName, (count) => count > 0), failed])
      for (const { pid } of fence.processes) process.kill(-pid, 'SIGKILL')
      expect(failedWith(await failed, 'MigrationFailed')).toBe(true)
      await sessions(fence.applicationName, (count) => count === 0)
      expect(await relations()).not.toContain('half')
      rewrite([{ ...SLEEPS, up: ['create table half (id int)'] }])
      await up(['101'])
      expect(await applied()).toEqual(['101'])
    })

    if (fixture.knowsFiles)
      it.each(['create index concurrently a_n on a (n)', 'create index concurrently if not exists a_n on a (n)'])(
        'whose child is killed while it builds an index builds it anew: %s',
        async (sql) => {
          const filled = { version: '101', up: ['create table a as select n from generate_series(1, 100) n'] }
          const indexed = { version: '102', up: [sql], transactional: false }
          const { up, target, look, applied } = await project(fixture, [filled, indexed])
          await up(['101'])
          const other = await openSession(target, { applicationName: 'long report' })
          // The build waits for it, with the index there and invalid.
          await other.query('begin; insert into a values (1)')
          const fence = new OpenFence({ applicationName: `hg:00000000:${folders.length}:index` })
          const failed = failureOf(up(['101', '102'], fence))
          const waits = `select from pg_stat_activity where application_name = '${fence.applicationName}' and wait_event_type = 'Lock'`
          const halfBuilt = 'select from pg_index where not indisvalid'
          while ((await look(waits)).length === 0 || (await look(halfBuilt)).length === 0);
          for (const { pid } of fence.processes) process.kill(-pid, 'SIGKILL')
          expect(knownFailure(await failed)?.code).toBe('MigrationFailed')
          // The server notices within a second; whom it waits for goes only then.
          while ((await look(waits)).length > 0);
          await other.end()
          expect(await look(halfBuilt)).toHaveLength(1)
          await up(['101', '102'])
          expect(await applied()).toEqual(['101', '102'])
          expect(await look(`select indisvalid as valid from pg_index where indexrelid = 'a_n'::regclass`)).toEqual([
            { valid: true },
          ])
        },
      )

    it('whose fence is lost ends at once, with all its processes', async () => {
      const { up, relations } = await project(fixture, [SLEEPS])
      const held = new AbortController()
      const fence = new OpenFence({ applicationName: `hg:00000000:${folders.length}:lost`, signal: held.signal })
      const failed = failureOf(up(['101'], fence))
      await Promise.race([sessions(fence.applicationName, (count) => count > 0), failed])
      held.abort(failure('FenceLost', 'a later attempt has taken over'))
      expect(failedWith(await failed, 'FenceLost')).toBe(true)
      expect(fence.processes.some(({ pid }) => isAlive(pid))).toBe(false)
      await sessions(fence.applicationName, (count) => count === 0)
      expect(await relations()).not.toContain('half')
    })

    it('on a server that is gone fails, and shows no password', async () => {
      const { migrator, target, plan } = await project(fixture, [A])
      const gone = { ...target, port: 1 }
      const planned = await plan(['101'])
      const error = await failureOf(
        migrator.up({ tag: 'v1', target: '101', planned, ...LIMITS }, gone, new OpenFence()),
      )
      expect(error).toBeInstanceOf(Error)
      expect(JSON.stringify([knownFailure(error), String(error)])).not.toContain(PASSWORD)
    })
  })

  describe(`${fixture.kind}: down`, () => {
    it('undoes the newest first, down to the target, which stays', async () => {
      const { migrator, target, up, applied, relations } = await project(fixture, [A, B, C])
      await up(['101', '102', '103'])
      await migrator.down?.({ tag: 'v1', target: '101', ...LIMITS }, target, new OpenFence())
      expect(await applied()).toEqual(['101'])
      expect(await relations()).not.toContain('b')
      await migrator.down?.({ tag: 'v1', target: '101', ...LIMITS }, target, new OpenFence())
      await up(['101', '102', '103'])
      await migrator.down?.({ tag: 'v1', target: '', ...LIMITS }, target, new OpenFence())
      expect(await applied()).toEqual([])
    })

    it('tells the ways down in the order they are taken, and what they are written in', async () => {
      const { migrator, up, ledger, rewrite } = await project(fixture, [A, B, C])
      const ways = async (target: string) => (await migrator.waysDown?.({ tag: 'v1', target }, await ledger())) ?? []
      expect(await ways('')).toEqual([])
      await up(['101', '102', '103'])
      const found = await ways('101')
      expect(found.map(({ version, phase, transactional }) => [version, phase, transactional])).toEqual([
        ['103', 'contract', true],
        ['102', 'expand', true],
      ])
      expect(await ways('103')).toEqual([])
      expect((await ways('')).map(({ version }) => version)).toEqual(['103', '102', '101'])
      expect(knownFailure(await failureOf(ways('109')))?.code).toBe('PlanInvalid')
      if (!fixture.knowsFiles) return
      expect(found[0]?.sql?.toLowerCase()).toContain('alter table a drop column c')
      rewrite([A, { ...B, down: 'drop table b cascade' }, C])
      const [third, second] = await ways('101')
      expect(third?.checksum).toBe(found[0]?.checksum)
      expect(second?.checksum).not.toBe(found[1]?.checksum)
    })

    it('has no way down from a migration that has none', async () => {
      const { migrator, up, ledger } = await project(fixture, [A, { version: '102', up: B.up }])
      await up(['101', '102'])
      if (!fixture.knowsFiles) return
      const { waysDown } = migrator
      const told = await failureOf(waysDown?.({ tag: 'v1', target: '101' }, await ledger()) ?? Promise.resolve())
      expect(knownFailure(told)).toMatchObject({ code: 'PlanInvalid', message: 'there is no way down from 102' })
    })
  })
}

/** What a migrator promises whose ledger can be written by us. */
export function markContract(fixture: Fixture): void {
  describe(`${fixture.kind}: mark`, () => {
    const marks = (
      { migrator, target }: Awaited<ReturnType<typeof project>>,
      version: string,
      as: 'applied' | 'pending',
    ): Promise<void> | undefined => migrator.mark?.({ tag: 'v1', version, as }, target, new OpenFence())

    it('leaves what the tool would have left: that goes on from there, and goes back over it', async () => {
      const made = await project(fixture, [A, B, C])
      await made.look('create table a (id int)')
      await marks(made, '101', 'applied')
      await marks(made, '101', 'applied')
      expect(await made.applied()).toEqual(['101'])
      await made.up(['101', '102'])
      expect(await made.relations()).toContain('b')
      await made.look('drop table b')
      await marks(made, '102', 'pending')
      await marks(made, '102', 'pending')
      expect(await made.applied()).toEqual(['101'])
      await made.up(['101', '102', '103'])
      expect(await made.applied()).toEqual(['101', '102', '103'])
      await made.migrator.down?.({ tag: 'v1', target: '', ...LIMITS }, made.target, new OpenFence())
      expect(await made.applied()).toEqual([])
    })

    it('changes the ledger alone', async () => {
      const made = await project(fixture, [A, B])
      await made.up(['101'])
      const before = await made.relations()
      await marks(made, '102', 'applied')
      await marks(made, '101', 'pending')
      expect(await made.relations()).toEqual(before)
    })

    it('of a version that the release does not have is refused', async () => {
      const made = await project(fixture, [A])
      await made.up(['101'])
      expect(failedWith(await failureOf(Promise.resolve(marks(made, '999', 'applied'))), 'PlanInvalid')).toBe(true)
      expect(await made.applied()).toEqual(['101'])
    })
  })
}

/** What a migrator promises whose ledger can mark a version as half done; `asHalfDone`: SQL that so marks the applied 102. */
export function beginAnewContract(fixture: Fixture, asHalfDone: string): void {
  describe(`${fixture.kind}: a version that was half done and begins anew`, () => {
    it.each([true, false])('stays marked until it has come to its end; transactional: %j', async (transactional) => {
      const halfDone = '102'
      const made = await project(fixture, [A, B])
      const mended = async (...up: string[]): Promise<unknown> => {
        made.rewrite([A, { version: halfDone, up, transactional }, C])
        await made.migrator.beginAnew?.({ tag: 'v1', version: halfDone }, made.target, new OpenFence())
        return failureOf(made.up([halfDone, '103'], new OpenFence(), { halfDone }))
      }
      await made.up(['101', '102'])
      await made.look(asHalfDone)
      for (const _ of ['the first time', 'and again']) {
        expect(failedWith(await mended('select nope'), 'MigrationFailed')).toBe(true)
        expect(await made.ledger()).toMatchObject({ dirty: halfDone, applied: [{ version: '101' }] })
      }
      expect(await mended('create table mended (id int)')).toBeUndefined()
      expect(await made.applied()).toEqual(['101', '102', '103'])
      expect((await made.ledger()).dirty).toBeUndefined()
      expect(await made.relations()).toContain('mended')
    })
  })
}

async function sessions(applicationName: string, enough: (count: number) => boolean): Promise<void> {
  await withControl(async (control) => {
    for (;;) {
      const { rowCount } = await control.query(
        `select from pg_stat_activity where application_name = $1 and query like '%pg_sleep%'`,
        [applicationName],
      )
      if (enough(rowCount ?? 0)) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })
}
