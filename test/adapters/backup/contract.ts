import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BackupEngine, BackupRequest } from '../../../src/adapters/backup/port.js'
import { fingerprintDifferences } from '../../../src/adapters/postgres/data-fingerprint.js'
import { openSession } from '../../../src/adapters/postgres/session.js'
import { type Target, withDatabase } from '../../../src/adapters/postgres/target.js'
import { failedWith, failure } from '../../../src/domain/failures.js'
import type { Fingerprint, Manifest } from '../../../src/domain/manifest.js'
import { backupName, restoreName } from '../../../src/domain/names.js'
import { OpenFence } from '../../support/open-fence.js'
import { setOpen, withControl } from '../../support/test-database.js'
import { createRichDatabase, databases, fingerprintOf, sessionsOf, untilEmpty } from './fixture.js'

export interface EngineUnderTest {
  engine: (target: Target) => BackupEngine
  /** Changes one value of what was kept, as an accident would. */
  damage: (manifest: Manifest) => Promise<void>
  /** Names of what exists of this kind for the database: kept and unfinished. */
  kept: (database: string) => Promise<{ finished: string[]; unfinished: string[] }>
}

const at = new Date('2026-11-20T10:30:15Z')
export const RUN = 'production-20261120-103000'

export const requestFor = (epoch: number, changes: Partial<BackupRequest> = {}): BackupRequest => ({
  name: backupName(new Date(at.getTime() + epoch * 1_000), 1, epoch),
  project: 'shop',
  environment: 'production',
  run: RUN,
  stage: 1,
  epoch,
  tag: 'v2',
  gate: 'closed',
  ledger: ['0001'],
  priorStates: { orders: { state: 'running' } },
  ...changes,
})

/** Fails at the n-th look at the fence, as if a later attempt had taken over just then. */
class FenceLostAt extends OpenFence {
  readonly #left: number
  readonly #controller: AbortController

  constructor(left: number, epoch: number) {
    const controller = new AbortController()
    super({ epoch, signal: controller.signal })
    this.#left = left
    this.#controller = controller
  }

  override async check(): Promise<void> {
    if (this.checks >= this.#left) this.#controller.abort(failure('FenceLost', 'a later attempt has taken over'))
    await super.check()
  }
}

/** What every kind of backup must do. */
export function backupEngineContract(name: string, make: () => Promise<EngineUnderTest>): void {
  describe(`the contract of a backup, by ${name}`, () => {
    const database = `con"tract 'ü ${name}`
    const owner = { project: 'shop', environment: 'production', run: RUN, stage: 1 }
    let epoch = 0
    let target: Target
    let before: Fingerprint
    let subject: EngineUnderTest
    let engine: BackupEngine

    beforeAll(async () => {
      target = await createRichDatabase(database)
      await setOpen(database, false)
      before = await fingerprintOf(target)
      subject = await make()
      engine = subject.engine(target)
    })

    beforeEach(async () => {
      epoch += 1
      await setOpen(database, false)
      await untilEmpty(database)
    })

    afterEach(async () => {
      expect(fingerprintDifferences(before, await fingerprintOf(target)), 'the live database changed').toEqual([])
    })

    const taken = (): Promise<Manifest> => engine.take(requestFor(epoch), new OpenFence({ epoch }))
    const signal = new AbortController().signal

    it('takes one that says what the database was and verifies', async () => {
      const manifest = await taken()
      expect(fingerprintDifferences(manifest.fingerprint, before)).toEqual([])
      expect(manifest).toMatchObject({ database, kind: engine.kind, run: RUN, epoch, gate: 'closed', ledger: ['0001'] })
      expect(Number(manifest.bytes)).toBeGreaterThan(0)
      await engine.verify(manifest, signal)
      await engine.verify(JSON.parse(JSON.stringify(manifest)), signal)
    })

    it('taken twice under one name is one backup', async () => {
      const first = await taken()
      const earlier = (await subject.kept(database)).finished
      const second = await taken()
      expect(second.location).toBe(first.location)
      expect((await subject.kept(database)).finished).toEqual(earlier)
      await engine.verify(second, signal)
    })

    it('brings back a database equal to the source, twice the same one, and leaves it closed', async () => {
      const manifest = await taken()
      const beside = restoreName(database, at, 'restore')
      const restored = await engine.restoreBeside(manifest, beside, new OpenFence({ epoch }))
      expect(await engine.restoreBeside(manifest, beside, new OpenFence({ epoch }))).toBe(restored)
      await expect(fingerprintNow(restored)).resolves.toEqual([])
    })

    const fingerprintNow = async (restored: string): Promise<string[]> => {
      const open = await withControl((control) =>
        control.query('select datallowconn as open from pg_database where datname = $1', [restored]),
      )
      expect(open.rows).toEqual([{ open: false }])
      return fingerprintDifferences(before, await fingerprintOf(withDatabase(target, restored)), engine.kind)
    }

    it('refuses one in which a single value changed', async () => {
      const manifest = await taken()
      await subject.damage(manifest)
      await expect(engine.verify(manifest, signal)).rejects.toSatisfy((error) => failedWith(error, 'BackupDamaged'))
      const beside = restoreName(database, at, 'damaged')
      const restoring = engine.restoreBeside(manifest, beside, new OpenFence({ epoch }))
      await expect(restoring).rejects.toSatisfy((error) => failedWith(error, 'BackupDamaged'))
      expect(await databases()).not.toContain(beside)
    })

    it('refuses a manifest of another database or cluster', async () => {
      const manifest = await taken()
      const beside = restoreName(database, at, 'other')
      for (const other of [
        { ...manifest, database: 'elsewhere' },
        { ...manifest, systemIdentifier: '1' },
      ]) {
        const restoring = engine.restoreBeside(other, beside, new OpenFence({ epoch }))
        await expect(restoring).rejects.toSatisfy(
          (error) => failedWith(error, 'DatabaseWrong') || failedWith(error, 'BackupDamaged'),
        )
      }
      expect(await databases()).not.toContain(beside)
    })

    it('is not there, and nothing of it runs, when the fence is lost at any moment', async () => {
      const finished = (await subject.kept(database)).finished
      for (let left = 0; ; left++) {
        const fence = new FenceLostAt(left, epoch)
        const outcome = await engine
          .take(requestFor(epoch, { run: `lost-20261120-10300${epoch % 10}` }), fence)
          .catch((error) => error)
        await setOpen(database, false)
        await untilEmpty(database)
        await expect.poll(() => sessionsOf(fence.applicationName), { timeout: 10_000 }).toEqual([])
        if (!(outcome instanceof Error)) break
        expect(failedWith(outcome, 'FenceLost'), String(outcome)).toBe(true)
        expect((await subject.kept(database)).finished).toEqual(finished)
      }
    })

    it('is not brought back, and nothing runs, when the fence is lost on the way', async () => {
      const manifest = await taken()
      const beside = restoreName(database, at, 'lost')
      for (let left = 0; ; left++) {
        const fence = new FenceLostAt(left, epoch)
        const outcome = await engine.restoreBeside(manifest, beside, fence).catch((error) => error)
        await untilEmpty(beside)
        await expect.poll(() => sessionsOf(fence.applicationName), { timeout: 10_000 }).toEqual([])
        if (!(outcome instanceof Error)) break
        expect(failedWith(outcome, 'FenceLost'), String(outcome)).toBe(true)
      }
      const restored = await engine.restoreBeside(manifest, beside, new OpenFence({ epoch }))
      await expect(fingerprintNow(restored)).resolves.toEqual([])
    })

    it('discards what an unfinished attempt left, and finds nothing the second time', async () => {
      for (const left of [2, 3, 4]) {
        const outcome = engine.take(requestFor(epoch), new FenceLostAt(left, epoch))
        await expect(outcome).rejects.toSatisfy((error) => failedWith(error, 'FenceLost'))
        await setOpen(database, false)
        await untilEmpty(database)
      }
      await engine.discard(owner, new OpenFence({ epoch }))
      await engine.discard(owner, new OpenFence({ epoch }))
      expect((await subject.kept(database)).unfinished).toEqual([])
    })

    it('is not taken while somebody is in the closed database', async () => {
      await setOpen(database, true)
      const stranger = await openSession(target, { applicationName: 'a stranger' })
      await setOpen(database, false)
      const taking = taken()
      await expect(taking).rejects.toSatisfy(
        (error) => failedWith(error, 'BackupFailed') && /a stranger/.test(String(error)),
      )
      await stranger.end()
    })
  })
}
