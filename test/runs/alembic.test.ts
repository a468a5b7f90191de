import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import {
  ALEMBIC,
  ALEMBIC_LEDGER,
  ASYNC_ENV_PY,
  DROP,
  FIRST,
  HANDING_ENV_PY,
  NOTE,
  type Revision,
  writeAlembic,
} from '../support/alembic-release.js'
import { differences } from '../checker/snapshot.js'
import { headgate } from '../support/command-line.js'
import { World } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** A company that uses Alembic, with revision a1 applied. */
async function alembicWorld(
  revisions: Revision[],
  writesLate = false,
  envPy?: string,
  driver?: 'other',
): Promise<void> {
  world = await World.create({
    migrations: {},
    writesLate,
    schema: ALEMBIC_LEDGER,
    configuration: {
      migrator: {
        ...{ kind: 'alembic', config: 'releases/{tag}/alembic.ini', command: [ALEMBIC] },
        ...(driver && { driver }),
      },
    },
  })
  await writeAlembic(join(world.folder, 'releases', '1'), [FIRST])
  await writeAlembic(join(world.folder, 'releases', '2'), [FIRST, ...revisions], envPy)
  await world.startWorker()
}

const version = (): Promise<unknown[]> => world.rows('select version_num from alembic_version')

test('an Alembic release with an expand and a contract revision goes its whole way', async () => {
  await alembicWorld([NOTE, DROP])
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  expect(await version()).toEqual([{ version_num: 'b2' }])
  expect(await world.serving()).toBe('2')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await version()).toEqual([{ version_num: 'c3' }])
  expect(world.consumer.state).toBe('running')
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('an Alembic revision that commits half of its work and then fails is put back: the sessions of the tool are known', async () => {
  await alembicWorld([{ ...NOTE, sql: [...NOTE.sql, 'commit', 'select 1 / 0'] }], true)
  const before = await world.snapshot()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('an Alembic revision that fails in its transaction leaves nothing', async () => {
  await alembicWorld([{ ...NOTE, sql: [...NOTE.sql, 'select 1 / 0'] }], true)
  const before = await world.snapshot()
  const oid = await world.oid()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 5 })
  expect(ending.reason).toContain('division by zero')
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await world.oid()).toBe(oid)
})

test('two heads are refused with the command that joins them, and nothing is changed', async () => {
  await alembicWorld([NOTE, { revision: 'b3', after: 'a1', sql: ['select 1'] }], true)
  const before = await world.snapshot()
  const env = { TEMPORAL_ADDRESS: world.address }
  const answer = await headgate(['deploy', 'staging', '--tag', '2'], world.folder, env)
  expect(answer.exit, answer.text).toBe(4)
  expect(answer.text).toContain('2 heads: b2, b3')
  expect(answer.text).toContain('alembic merge heads')
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('a backup and a way back to the previous image need no files of an Alembic release', async () => {
  await alembicWorld([NOTE])
  expect(await world.ending(await world.start())).toMatchObject({ outcome: 'succeeded' })
  expect(await world.ending(await world.start('backup', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.ending(await world.start('rollback', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBe('1')
})

test('a driver that ignores the name of its session is found before anything is stopped', async () => {
  await alembicWorld([NOTE], true, ASYNC_ENV_PY)
  const before = await world.snapshot()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain('under the name in PGAPPNAME: its driver ignores that')
  expect(world.consumer.server.received.filter(({ path }) => path === '/pause')).toEqual([])
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('the same driver does when env.py hands on what libpq would have read: half a migration is put back, as its sessions are known', async () => {
  await alembicWorld([{ ...NOTE, sql: [...NOTE.sql, 'commit', 'select 1 / 0'] }], true, HANDING_ENV_PY)
  const before = await world.snapshot()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('the same driver does as it is where the configuration tells of it', async () => {
  await alembicWorld([{ ...NOTE, sql: [...NOTE.sql, 'commit', 'select 1 / 0'] }], true, ASYNC_ENV_PY, 'other')
  const before = await world.snapshot()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(ending.reason).toContain('division by zero')
  expect(differences(before, await world.snapshot())).toEqual([])
  await writeAlembic(join(world.folder, 'releases', '2'), [FIRST, NOTE, DROP], ASYNC_ENV_PY)
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await version()).toEqual([{ version_num: 'c3' }])
})

test('a tool that keeps the name and drops the limits is found, too', async () => {
  const half = HANDING_ENV_PY.replace("os.environ.get('PGOPTIONS', '')", "''")
  await alembicWorld([NOTE], true, half)
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 4 })
  expect(ending.reason).toContain('ignores PGOPTIONS')
})

test('a tool that connects to another database than the target is found before it migrates that', async () => {
  const url = "os.environ['DATABASE_URL']"
  const elsewhere = HANDING_ENV_PY.replace(url, `(${url}.rsplit('/', 1)[0] + '/postgres')`)
  await alembicWorld([NOTE], true, elsewhere)
  await world.start()
  expect((await world.ending()).reason).toContain('or it connects to another database')
})

test('so it is where its driver needs the proxy: that is the way to the target alone', async () => {
  const url = "os.environ['DATABASE_URL']"
  const elsewhere = ASYNC_ENV_PY.replace(url, `(${url}.rsplit('/', 1)[0] + '/postgres')`)
  await alembicWorld([NOTE], true, elsewhere, 'other')
  const before = await world.snapshot()
  await world.start()
  expect((await world.ending()).reason).toMatch(/did not connect to .*this is the way to database .* alone/)
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('a tool that cannot connect is found with what it says', async () => {
  await alembicWorld([NOTE], true, ASYNC_ENV_PY.replace('asyncpg', 'no_such_driver'))
  await world.start()
  expect((await world.ending()).reason).toMatch(/the migrator did not connect to .*no_such_driver/)
})

test('an applied Alembic revision whose file was edited since is told of in plan and info, by the run that applied it', async () => {
  await alembicWorld([NOTE])
  const ending = await world.ending(await world.start())
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded' })
  const same = await world.typed('plan', 'staging', '--tag', '2')
  expect(same.text).not.toContain('was edited')
  const edited = { ...NOTE, sql: ['alter table orders add column note varchar(10)'] }
  await writeAlembic(join(world.folder, 'releases', '2'), [{ ...FIRST, sql: ['select 1'] }, edited])
  const [run] = await world.journal<{ name: string }>('select name from {s}.runs')
  const words = `b2 was edited since run ${run?.name} applied it`
  const planned = await world.typed('plan', 'staging', '--tag', '2')
  expect(planned, planned.text).toMatchObject({ exit: 0 })
  expect(planned.text).toContain(words)
  expect(planned.text, 'a1 was applied by others').not.toContain('a1 was edited')
  expect((await world.typed('info', 'staging', '--tag', '2')).text).toContain(`warn: ${words}`)
  const marked = await world.typed('repair', 'staging', 'mark-applied', 'b2', '--tag', '2')
  expect(marked, marked.text).toMatchObject({ exit: 0 })
  expect((await world.typed('info', 'staging', '--tag', '2')).text).not.toContain('was edited')
})
