import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCloneEngine } from '../../../src/adapters/backup/clone.js'
import { createDumpEngine } from '../../../src/adapters/backup/dump.js'
import { toolsHostOf } from '../../../src/adapters/backup/tools-host.js'
import { fingerprintDifferences } from '../../../src/adapters/postgres/data-fingerprint.js'
import { isOpen as isOpenNow } from '../../../src/adapters/postgres/gate.js'
import { openSession } from '../../../src/adapters/postgres/session.js'
import { type Target, withDatabase } from '../../../src/adapters/postgres/target.js'
import { createStore } from '../../../src/adapters/store/index.js'
import { failedWith, failure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'
import { serverBinaries } from '../../support/server-binaries.js'
import { serverTarget, setOpen, withControl } from '../../support/test-database.js'
import { dumpsIn, flipBit, largest } from './dump-folder.js'
import { backupEngineContract, RUN, requestFor } from './contract.js'
import { createOwnedDatabase, createRichDatabase, databases, fingerprintOf, inside, sessionsOf } from './fixture.js'

const signal = new AbortController().signal
const roots: string[] = []
afterAll(async () => {
  for (const root of roots) await rm(root, { recursive: true, force: true })
})

const HERE = toolsHostOf(undefined, '')

async function newRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'headgate-store-'))
  roots.push(root)
  return root
}

async function engineAt(root: string, target: Target, changes: { binDirectory?: string } = {}) {
  const binDirectory = changes.binDirectory ?? (await serverBinaries())
  return createDumpEngine({
    target,
    controlTarget: serverTarget(),
    store: createStore(`file://${root}`),
    jobs: 2,
    binDirectory,
    host: HERE,
  })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const isOpen = (name: string): Promise<boolean> => withControl((control) => isOpenNow(control, name))

const contractRoot = newRoot()
backupEngineContract('dump', async () => {
  const root = await contractRoot
  const binDirectory = await serverBinaries()
  return {
    engine: (target) =>
      createDumpEngine({
        target,
        controlTarget: serverTarget(),
        store: createStore(`file://${root}`),
        jobs: 2,
        binDirectory,
        host: HERE,
      }),
    ...dumpsIn(root),
  }
})

describe('a dump', () => {
  let target: Target
  const mask = process.umask()
  beforeAll(async () => {
    target = await createRichDatabase('dumped')
  })
  afterAll(() => void process.umask(mask))

  it('is for nobody else to read, whatever the umask', async () => {
    process.umask(0)
    const root = await newRoot()
    const engine = await engineAt(root, target)
    const manifest = await engine.take(requestFor(1), new OpenFence())
    const folder = join(root, manifest.location)
    for (const path of [join(root, 'shop'), join(root, 'shop/production'), folder])
      expect((await stat(path)).mode & 0o777).toBe(0o700)
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
    process.umask(mask)
  })

  it('is refused when any of its files is cut, flipped, missing or new, or its manifest edited', async () => {
    const root = await newRoot()
    const engine = await engineAt(root, target)
    const manifest = await engine.take(requestFor(1), new OpenFence())
    const folder = join(root, manifest.location)
    const name = largest(manifest)
    const content = await readFile(join(folder, name))
    const envelope = await readFile(join(folder, 'manifest.json'), 'utf8')
    const refused = async (what: string): Promise<void> => {
      await expect(engine.verify(manifest, signal), what).rejects.toSatisfy((error) =>
        failedWith(error, 'BackupDamaged'),
      )
      await writeFile(join(folder, name), content)
      await writeFile(join(folder, 'manifest.json'), envelope)
      await engine.verify(manifest, signal)
    }
    await truncate(join(folder, name), content.length >> 1)
    await refused(name)
    await flipBit(join(folder, 'toc.dat'))
    const toc = engine.verify(manifest, signal)
    await expect(toc).rejects.toThrow(/toc\.dat/)
    await flipBit(join(folder, 'toc.dat'))
    await writeFile(join(folder, 'manifest.json'), envelope.replace('"ledger":["0001"]', '"ledger":["0002"]'))
    await refused('manifest.json')
    const edited = { ...manifest, gate: 'open' as const }
    await expect(engine.verify(edited, signal)).rejects.toThrow(/manifest\.json/)
  })

  it('is taken from the clone where there is one, equal to the live database', async () => {
    const source = await createRichDatabase('dump_of_clone')
    await setOpen(source.database, false)
    const before = await fingerprintOf(source)
    const clone = await createCloneEngine({ target: source, controlTarget: source }).take(
      requestFor(1),
      new OpenFence(),
    )
    const engine = await engineAt(await newRoot(), source)
    const manifest = await engine.take(requestFor(1, { source: clone.location }), new OpenFence())
    expect(manifest).toMatchObject({
      database: 'dump_of_clone',
      databaseOid: clone.databaseOid,
      properties: clone.properties,
    })
    expect(fingerprintDifferences(before, manifest.fingerprint)).toEqual([])
    await createCloneEngine({ target: source, controlTarget: source }).verify(clone, signal)
  })

  it('has the fingerprint of exactly what it holds while others write', async () => {
    const source = await createRichDatabase('dump_busy')
    const writer = await openSession(source, { applicationName: 'writer' })
    let writing = true
    const writes = (async () => {
      while (writing) await writer.query(`insert into plain values (1)`)
    })()
    const engine = await engineAt(await newRoot(), source)
    const manifest = await engine.take(requestFor(1, { gate: 'open' }), new OpenFence())
    writing = false
    await writes
    await writer.end()
    await engine.restoreBeside(manifest, 'dump_busy__r_261120103015_0000', new OpenFence())
  })

  it('ends at once when the fence is lost while pg_dump waits for a lock', async () => {
    const source = await createRichDatabase('dump_blocked')
    const blocker = await openSession(source, { applicationName: 'blocker' })
    await blocker.query('begin; lock table plain in access exclusive mode')
    const lost = new AbortController()
    const fence = new (class extends OpenFence {
      override async recordProcess(pid: number, startTime: string): Promise<void> {
        await super.recordProcess(pid, startTime)
        setTimeout(() => lost.abort(failure('FenceLost', 'a later attempt has taken over')), 300)
      }
    })({ signal: lost.signal, applicationName: 'hg:00000000:1:blocked' })
    const root = await newRoot()
    const engine = await engineAt(root, source)
    await expect(engine.take(requestFor(1), fence)).rejects.toSatisfy((error) => failedWith(error, 'FenceLost'))
    expect(fence.processes).toHaveLength(1)
    for (const { pid } of fence.processes) await expect(stat(`/proc/${pid}`)).rejects.toThrow()
    while ((await sessionsOf('hg:00000000:1:blocked')).length > 0)
      await new Promise((resolve) => setTimeout(resolve, 50))
    expect((await readdir(join(root, 'shop/production'))).filter((name) => !name.endsWith('.partial'))).toEqual([])
    await blocker.end()
  })

  it('is refused when a stranger came in while its closed source let sessions in', async () => {
    const source = await createRichDatabase('dump_stranger')
    await setOpen(source.database, false)
    const root = await newRoot()
    const fence = new (class extends OpenFence {
      override async recordProcess(pid: number, startTime: string): Promise<void> {
        await super.recordProcess(pid, startTime)
        await (await openSession(source, { applicationName: 'a stranger' })).end()
      }
    })()
    const taking = (await engineAt(root, source)).take(requestFor(1), fence)
    await expect(taking).rejects.toSatisfy((error) => failedWith(error, 'BackupFailed') && /others/.test(String(error)))
    expect(await readdir(join(root, 'shop/production'))).toEqual([])
    expect(await isOpen(source.database)).toBe(false)
  })

  it('lets nobody into its closed source any more once pg_dump is inside', async () => {
    const source = await createRichDatabase('dump_entering')
    const engine = await engineAt(await newRoot(), source)
    await inside(source, (session) => session.query(`insert into plain select i from generate_series(1, 1500000) i`))
    let wasClosed = false
    const fence = new (class extends OpenFence {
      override async recordProcess(pid: number, startTime: string): Promise<void> {
        await super.recordProcess(pid, startTime)
        void (async () => {
          while (!wasClosed && isAlive(pid)) wasClosed = !(await isOpen(source.database))
        })()
      }
    })()
    await engine.take(requestFor(1), fence)
    expect(wasClosed).toBe(true)
  })

  it('names both versions when pg_dump is older than the server', async () => {
    const binDirectory = await newRoot()
    await writeFile(join(binDirectory, 'pg_dump'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 9.6.24"\n')
    await chmod(join(binDirectory, 'pg_dump'), 0o755)
    const engine = await engineAt(await newRoot(), target, { binDirectory })
    await expect(engine.take(requestFor(1), new OpenFence())).rejects.toThrow(/9\.6\.24.*older than the server: \d+/)
  })

  it('fails naming the folder when the store cannot be written, and leaves nothing', async () => {
    const root = join(await newRoot(), 'file')
    await writeFile(root, '')
    const engine = await engineAt(root, target)
    await expect(engine.take(requestFor(1), new OpenFence())).rejects.toSatisfy(
      (error) => failedWith(error, 'BackupFailed') && String(error).includes(root),
    )
  })

  it('does not touch the backup of another run that has its name', async () => {
    const engine = await engineAt(await newRoot(), target)
    const manifest = await engine.take(requestFor(1), new OpenFence())
    const again = engine.take(requestFor(1, { run: 'production-20261121-103000' }), new OpenFence())
    await expect(again).rejects.toSatisfy((error) => failedWith(error, 'BackupFailed') && String(error).includes(RUN))
    await engine.verify(manifest, signal)
  })

  it('goes elsewhere only when asked to, into a name that is free', async () => {
    const engine = await engineAt(await newRoot(), target)
    const manifest = await engine.take(requestFor(1), new OpenFence())
    const other = await createRichDatabase('dump_elsewhere')
    const there = createDumpEngine({
      target: other,
      controlTarget: serverTarget(),
      store: createStore(`file://${await contractRoot}`),
      jobs: 1,
      host: HERE,
    })
    await expect(there.restoreBeside(manifest, 'copy_of_it', new OpenFence())).rejects.toSatisfy((error) =>
      failedWith(error, 'DatabaseWrong'),
    )
    const options = { elsewhere: true }
    await expect(engine.restoreBeside(manifest, 'dump_elsewhere', new OpenFence(), options)).rejects.toThrow(
      /exists already/,
    )
    expect(await engine.restoreBeside(manifest, 'copy of "it"', new OpenFence(), options)).toBe('copy of "it"')
    expect(
      fingerprintDifferences(manifest.fingerprint, await fingerprintOf(withDatabase(target, 'copy of "it"')), 'dump'),
    ).toEqual([])
  })

  it('needs no more than the owner of the database who may create others', async () => {
    const owned = await createOwnedDatabase('owned_and_backed_up', 'headgate_owner')
    await setOpen(owned.database, false)
    const before = await fingerprintOf(owned)
    const clone = createCloneEngine({ target: owned, controlTarget: owned })
    const kept = await clone.take(requestFor(1), new OpenFence())
    await clone.verify(await clone.withHashes(kept, signal), signal)
    const store = createStore(`file://${await newRoot()}`)
    const options = {
      target: owned,
      controlTarget: owned,
      store,
      jobs: 1,
      binDirectory: await serverBinaries(),
      host: HERE,
    }
    const engine = createDumpEngine(options)
    const manifest = await engine.take(requestFor(1), new OpenFence())
    const beside = 'owned__r_261120103015_0000'
    await engine.restoreBeside(manifest, beside, new OpenFence())
    expect(fingerprintDifferences(before, await fingerprintOf(withDatabase(owned, beside)), 'dump')).toEqual([])
  })

  it('never drops a database that is no scratch one', async () => {
    const engine = await engineAt(await newRoot(), target)
    const manifest = await engine.take(requestFor(1), new OpenFence())
    await expect(engine.restoreBeside(manifest, 'dumped', new OpenFence())).rejects.toThrow(/may be dropped/)
    expect(await databases()).toContain('dumped')
  })
})
