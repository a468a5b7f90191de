import type { Client } from 'pg'
import { describe, expect, it } from 'vitest'
import { type CloneEngine, createCloneEngine } from '../../../src/adapters/backup/clone.js'
import { writeCount } from '../../../src/adapters/postgres/gate.js'
import { openSession, withSession } from '../../../src/adapters/postgres/session.js'
import { type Target, withDatabase } from '../../../src/adapters/postgres/target.js'
import { failedWith } from '../../../src/domain/failures.js'
import type { Manifest } from '../../../src/domain/manifest.js'
import { OpenFence } from '../../support/open-fence.js'
import { startPostgres } from '../../support/postgres-server.js'
import { serverTarget, setOpen } from '../../support/test-database.js'
import { backupEngineContract, requestFor } from './contract.js'
import { createRichDatabase, databases, inside, untilEmpty } from './fixture.js'

const signal = new AbortController().signal
const prefixed = async (database: string, kind: 'c' | 'r'): Promise<string[]> =>
  (await databases()).filter((name) => name.startsWith(`${database}__${kind}_`))

backupEngineContract('clone', async () => ({
  engine: (target) => {
    const engine = createCloneEngine({ target, controlTarget: target })
    return {
      ...engine,
      take: async (request, fence) => engine.withHashes(await engine.take(request, fence), fence.signal),
    }
  },
  damage: ({ location }) =>
    inside(withDatabase(serverTarget(), location), (session) =>
      session.query('update parted set v = 6').then(() => {}),
    ),
  kept: async (database) => ({ finished: await prefixed(database, 'c'), unfinished: await prefixed(database, 'r') }),
}))

const damaged = (error: unknown): boolean => failedWith(error, 'BackupDamaged')

/** A clone of a rich database, as a stage keeps it: rows counted, not hashed. */
async function kept(name: string): Promise<{ engine: CloneEngine; manifest: Manifest }> {
  const target = await createRichDatabase(name)
  await setOpen(target.database, false)
  const engine = createCloneEngine({ target, controlTarget: target })
  return { engine, manifest: await engine.take(requestFor(1), new OpenFence()) }
}

describe('a clone', () => {
  it('is refused while its source is open', async () => {
    const target = await createRichDatabase('clone_open')
    const taking = createCloneEngine({ target, controlTarget: target }).take(requestFor(1), new OpenFence())
    await expect(taking).rejects.toSatisfy(
      (error) => failedWith(error, 'BackupFailed') && /is not closed/.test(String(error)),
    )
  })

  it('that was left open is taken all the same where nobody has written in it, and is closed again', async () => {
    const { engine, manifest } = await kept('clone_left_open')
    await setOpen(manifest.location, true)
    const location = withDatabase(serverTarget(), manifest.location)
    const stranger = await openSession(location, { applicationName: 'a stranger' })
    expect(await engine.restoreBeside(manifest, 'unused', new OpenFence())).toBe(manifest.location)
    await expect(stranger.query('select 1')).rejects.toThrow()
    await expect(openSession(location, { applicationName: 'late' })).rejects.toThrow(/not currently accepting/)
  })

  it('that was left open is not trusted where the server has lost its count of what was written', async () => {
    const { engine, manifest } = await kept('clone_left_open_crash')
    await setOpen(manifest.location, true)
    const crashed = { ...manifest, writes: { count: '0', since: 'before the crash' } }
    await expect(engine.verify(crashed, signal)).rejects.toSatisfy(damaged)
    await setOpen(manifest.location, false)
    await engine.verify(crashed, signal)
  })

  it('in which somebody changed a row, and closed it again, is damaged, though it has as many rows as before', async () => {
    const { engine, manifest } = await kept('clone_changed')
    await setOpen(manifest.location, true)
    await inside(withDatabase(serverTarget(), manifest.location), async (session) => {
      await session.query('update parted set v = 6')
    })
    await setOpen(manifest.location, false)
    await untilEmpty(manifest.location)
    await expect(engine.verify(manifest, signal)).rejects.toSatisfy(damaged)
    await expect(engine.restoreBeside(manifest, 'unused', new OpenFence())).rejects.toSatisfy(damaged)
  })

  it('reads its source by the session the step hands out, and lets nobody else in', async () => {
    const target = await createRichDatabase('clone_by_step')
    await setOpen(target.database, false)
    const pids: number[] = []
    const request = requestFor(1, {
      onSource: async (work) => {
        const session = await openSession(target, { applicationName: 'the step' })
        pids.push(Number((await session.query('select pg_backend_pid() as pid')).rows[0].pid))
        return work(session).finally(() => session.end())
      },
    })
    await createCloneEngine({ target, controlTarget: target }).take(request, new OpenFence())
    expect(pids).toHaveLength(1)
  })

  it('is not taken when a stranger came in while the source was open for a moment', async () => {
    const target = await createRichDatabase('clone_stranger')
    await setOpen(target.database, false)
    const request = requestFor(1, {
      onSource: async (work) => {
        const stranger = await openSession(target, { applicationName: 'a stranger' })
        const session = await openSession(target, { applicationName: 'the step' })
        await stranger.end()
        return work(session).finally(() => session.end())
      },
    })
    const taking = createCloneEngine({ target, controlTarget: target }).take(request, new OpenFence())
    await expect(taking).rejects.toSatisfy((error) => failedWith(error, 'BackupFailed') && /others/.test(String(error)))
    await untilEmpty(target.database)
    expect(await prefixed('clone_stranger', 'c')).toEqual([])
    expect(await prefixed('clone_stranger', 'r')).toEqual([])
  })

  it('replaces the one of an earlier attempt of the same run and stage, and no other', async () => {
    const target = await createRichDatabase('replaced')
    await setOpen(target.database, false)
    const engine = createCloneEngine({ target, controlTarget: target })
    const other = await engine.take(requestFor(1, { stage: 2 }), new OpenFence())
    const first = await engine.take(requestFor(2), new OpenFence())
    const second = await engine.take(requestFor(3), new OpenFence())
    const left = await prefixed('replaced', 'c')
    expect(left.sort()).toEqual([other.location, second.location].sort())
    await expect(engine.verify(first, signal)).rejects.toSatisfy((error) => failedWith(error, 'BackupDamaged'))
  })
})

describe('where autovacuum is at work', () => {
  it('what it writes in a closed clone does not count as written', async () => {
    const server = await startPostgres({ autovacuum: 'on', autovacuum_naptime: '1s' })
    const at = (database: string): Target => ({ ...serverTarget(database), port: server.port })
    const within = <T>(work: (session: Client) => Promise<T>): Promise<T> =>
      withSession(at('postgres'), { applicationName: 'test' }, work)
    const asked = (sql: string): Promise<unknown> => within((session) => session.query(sql))
    try {
      await asked('create database autovacuumed')
      await asked('alter database autovacuumed allow_connections false')
      const target = at('autovacuumed')
      const engine = createCloneEngine({ target, controlTarget: target })
      const manifest = await engine.take(requestFor(1), new OpenFence())
      const written = (): Promise<bigint> => within((session) => writeCount(session, manifest.location))
      const before = await written()
      // Whichever database's turn it is keeps the statistics of what has changed in a shared catalog.
      while ((await written()) === before) {
        await asked(`do $$ begin for n in 1..200 loop execute format('create role r%s', n); end loop; end $$`)
        await asked(`do $$ begin for n in 1..200 loop execute format('drop role r%s', n); end loop; end $$`)
      }
      expect(await engine.restoreBeside(manifest, 'unused', new OpenFence())).toBe(manifest.location)
    } finally {
      await server.stop()
    }
  })
})
