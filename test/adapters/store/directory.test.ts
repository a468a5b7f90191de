import { execFile } from 'node:child_process'
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createStore } from '../../../src/adapters/store/index.js'
import type { BackupStore } from '../../../src/adapters/store/port.js'
import { failedWith } from '../../../src/domain/failures.js'
import type { Manifest } from '../../../src/domain/manifest.js'

const signal = new AbortController().signal
const RUN = 'production-20261120-103000'
const place = { project: 'shop', environment: 'production', name: 'pre_migration_20261120_103015-s1e1' }

const manifestOf = (changes: Partial<Manifest> = {}): Manifest => ({
  format: 1,
  ...place,
  kind: 'dump',
  run: RUN,
  stage: 1,
  epoch: 1,
  gate: 'closed',
  systemIdentifier: '7',
  database: 'shop',
  databaseOid: '5',
  serverVersion: '15.18',
  location: `shop/production/${place.name}`,
  bytes: '0',
  files: {},
  properties: [],
  fingerprint: { schema: '', objects: [], tables: {}, sequences: {}, largeObjects: { '9': 'b', '10': 'a' } },
  ledger: [],
  priorStates: { orders: { state: 'running' } },
  takenAt: '2026-11-20T10:30:15.000Z',
  ...changes,
})

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text)
}

const damaged = (error: unknown): boolean => failedWith(error, 'BackupDamaged')
const refused = (error: unknown): boolean => failedWith(error, 'StateUnexpected')

describe('a store in a folder', () => {
  let outside: string
  let root: string
  let store: BackupStore
  let folder: string
  const mask = process.umask()

  beforeEach(async () => {
    outside = await mkdtemp(join(tmpdir(), 'headgate-store-'))
    root = join(outside, 'a', 'b c')
    store = createStore(`file://${encodeURI(root)}`)
    folder = join(root, 'shop/production', place.name)
  })
  afterEach(async () => {
    process.umask(mask)
    await rm(outside, { recursive: true, force: true })
  })

  async function stored(changes: Partial<Manifest> = {}): Promise<Manifest> {
    const manifest = manifestOf(changes)
    const unfinished = await store.begin(manifest, manifest.run)
    await unfinished.write('toc.dat', chunks('one', 'two'))
    await writeFile(join(unfinished.folder, '12.dat.gz'), 'rows')
    const complete = { ...manifest, files: await unfinished.collect(signal) }
    await unfinished.finish(complete)
    return complete
  }

  it('keeps what was written, and reads it back', async () => {
    const manifest = await stored()
    expect(Object.keys(manifest.files).sort()).toEqual(['12.dat.gz', 'toc.dat'])
    expect(manifest.files['toc.dat']).toEqual({
      bytes: 6,
      sha256: '25b6746d5172ed6352966a013d93ac846e1110d5a25e8f183b5931f4688842a1',
    })
    expect(await store.read(place)).toEqual(manifest)
    await store.verify(manifest, signal)
    expect(await store.list('shop', 'production')).toEqual([{ name: place.name, manifest }])
    expect(await store.folderOf(place)).toBe(folder)
    expect(await store.freeBytes()).toBeGreaterThan(0n)
  })

  it.each([0o000, 0o022, 0o777])('gives files 0600 and folders 0700 under umask %o', async (umask) => {
    process.umask(umask)
    await stored()
    process.umask(mask)
    for (const path of [root, join(root, 'shop'), join(root, 'shop/production'), folder]) {
      expect((await stat(path)).mode & 0o777).toBe(0o700)
    }
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
  })

  it('tells the free bytes before its folder is there, and makes nothing by it', async () => {
    expect(await store.freeBytes()).toBeGreaterThan(0n)
    expect(await readdir(outside)).toEqual([])
  })

  it('is prepared twice, for nobody else to enter', async () => {
    await store.prepare()
    await store.prepare()
    for (const path of [join(outside, 'a'), root]) expect((await stat(path)).mode & 0o777).toBe(0o700)
  })

  it.each(['/proc/headgate/backups', '/dev/null/backups'])('says that %s cannot be written to', async (path) => {
    await expect(createStore(`file://${path}`).prepare()).rejects.toSatisfy(
      (error) => failedWith(error, 'BackupFailed') && String(error).includes(path),
    )
  })

  it('shows nothing of a backup before its manifest is there', async () => {
    const unfinished = await store.begin(place, RUN)
    await unfinished.write('toc.dat', chunks('one'))
    expect(await store.list('shop', 'production')).toEqual([])
    expect(await store.read(place)).toBeUndefined()
    await mkdir(folder)
    expect(await store.list('shop', 'production')).toEqual([])
    await unfinished.discard()
    await unfinished.discard()
    expect(await readdir(join(root, 'shop/production'))).toEqual([place.name])
  })

  it('never writes over a backup', async () => {
    const manifest = await stored()
    await expect(store.begin(place, RUN)).rejects.toThrow(/exists already/)
    await store.verify(manifest, signal)
  })

  it('does not give a name that somebody took meanwhile', async () => {
    const unfinished = await store.begin(place, RUN)
    await mkdir(folder)
    await writeFile(join(folder, 'x'), '')
    await expect(unfinished.finish(manifestOf())).rejects.toThrow(/ENOTEMPTY|EEXIST/)
    expect(await readdir(folder)).toEqual(['x'])
  })

  it('removes leftovers of one run and stage, and of no other', async () => {
    const of = (stage: number, run: string) =>
      store.begin({ ...place, name: `pre_migration_20261120_103015-s${stage}e4` }, run)
    await of(1, RUN)
    const others = [
      await of(2, RUN),
      await of(11, RUN),
      await of(1, 'production-20261120-103000-2'),
      await of(1, 'other-20261120-103000'),
    ]
    const manifest = await stored()
    await store.removeLeftovers(manifest)
    await store.removeLeftovers(manifest)
    const left = others.map((other) => other.folder.split('/').at(-1) ?? '')
    expect(await readdir(join(root, 'shop/production'))).toEqual([...left, place.name].sort())
  })

  it('leaves nothing of a file whose content fails', async () => {
    const unfinished = await store.begin(place, RUN)
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10)
      throw new Error('the source broke')
    }
    await expect(unfinished.write('toc.dat', failing())).rejects.toThrow(/the source broke/)
    expect(await readdir(unfinished.folder)).toEqual([])
  })

  describe('refuses', () => {
    it('a file that was cut, changed, taken away, added, or made a link or a pipe', async () => {
      const manifest = await stored()
      const path = join(folder, 'toc.dat')
      const broken = async (change: () => Promise<unknown>, words: RegExp): Promise<void> => {
        await change()
        await expect(store.verify(manifest, signal)).rejects.toSatisfy(damaged)
        await expect(store.verify(manifest, signal)).rejects.toThrow(words)
        for (const name of ['toc.dat', 'new']) await rm(join(folder, name), { force: true })
        await writeFile(path, 'onetwo')
        await store.verify(manifest, signal)
      }
      await broken(() => writeFile(path, 'onetw'), /toc\.dat has 5 bytes, not 6/)
      await broken(() => writeFile(path, 'onetwO'), /toc\.dat was changed/)
      await broken(() => rm(path), /toc\.dat: ENOENT/)
      await broken(() => writeFile(join(folder, 'new'), ''), /new.*does not belong/)
      await writeFile(join(root, 'same'), 'onetwo')
      await broken(async () => {
        await rm(path)
        await symlink(join(root, 'same'), path)
      }, /toc\.dat: ELOOP/)
      await broken(async () => {
        await rm(path)
        await promisify(execFile)('mkfifo', [path])
      }, /toc\.dat: .*no plain file/)
    })

    it('a manifest that was edited, is another one`s, or is no JSON', async () => {
      const manifest = await stored()
      const path = join(folder, 'manifest.json')
      const text = await readFile(path, 'utf8')
      for (const edited of [
        text.replace('"epoch":1', '"epoch":2'),
        text.replace('closed', 'open'),
        '{}',
        'null',
        '',
        text.slice(0, -9),
      ]) {
        await writeFile(path, edited)
        await expect(store.read(place)).rejects.toSatisfy(damaged)
        await expect(store.verify(manifest, signal)).rejects.toThrow(/manifest\.json/)
        expect(await store.list('shop', 'production')).toEqual([{ name: place.name, manifest: undefined }])
      }
      await writeFile(path, text)
      await expect(store.verify({ ...manifest, ledger: ['0009'] }, signal)).rejects.toThrow(
        /not the manifest that was kept/,
      )
      const other = 'pre_migration_20261120_103015-s1e9'
      await rename(folder, join(root, 'shop/production', other))
      await expect(store.read({ ...place, name: other })).rejects.toThrow(/manifest of another backup/)
    })

    it.each([
      '../../etc/x',
      '/etc',
      '..',
      '',
      'a/b',
      'pre_migration_1-s1e1/..',
      'pre\0-s1e1',
      'x.partial',
      '.hidden-s1e1',
    ])('the name %j, wherever it is used', async (name) => {
      const bad = { ...place, name }
      await expect(store.begin(bad, RUN)).rejects.toSatisfy(refused)
      await expect(store.read(bad)).rejects.toSatisfy(refused)
      await expect(store.folderOf(bad)).rejects.toSatisfy(refused)
      await expect(store.verify(manifestOf({ name }), signal)).rejects.toSatisfy(refused)
      await expect(store.begin({ ...place, project: name }, RUN)).rejects.toSatisfy(refused)
      await expect(store.list(name, 'production')).rejects.toSatisfy(refused)
      await expect(store.begin(place, name)).rejects.toSatisfy(refused)
    })

    it('a file name in a manifest that leads out of the folder', async () => {
      const manifest = await stored()
      const { sha256, bytes } = manifest.files['toc.dat'] ?? { sha256: '', bytes: 0 }
      await rm(folder, { recursive: true })
      const unfinished = await store.begin(place, RUN)
      const evil = { ...manifest, files: { '../../../x': { sha256, bytes } } }
      await unfinished.finish(evil)
      await expect(store.verify(evil, signal)).rejects.toThrow(/no name of a backup's file/)
      const next = await store.begin({ ...place, name: `${place.name}1` }, RUN)
      await expect(next.write('../x', chunks('x'))).rejects.toSatisfy(refused)
    })

    it('links in the place of folders and of what a tool wrote', async () => {
      const manifest = await stored()
      const aside = join(root, 'aside')
      await rename(folder, aside)
      await symlink(aside, folder)
      await expect(store.verify(manifest, signal)).rejects.toSatisfy(damaged)
      await expect(store.folderOf(place)).rejects.toSatisfy(damaged)
      const unfinished = await store.begin({ ...place, name: `${place.name}2` }, RUN)
      await symlink('/etc/passwd', join(unfinished.folder, 'toc.dat'))
      await expect(unfinished.collect(signal)).rejects.toThrow(/ELOOP/)
      await rm(join(unfinished.folder, 'toc.dat'))
      await link(join(aside, 'toc.dat'), join(unfinished.folder, 'toc.dat'))
      await expect(unfinished.collect(signal)).rejects.toThrow(/another name elsewhere/)
    })

    it('a folder that others may write into', async () => {
      await stored()
      await chmod(root, 0o777)
      await expect(store.begin({ ...place, name: `${place.name}3` }, RUN)).rejects.toThrow(/others may write/)
    })
  })

  it('names the folder and the errno when it cannot write', async () => {
    await mkdir(join(root, '..'), { recursive: true })
    await writeFile(root, '')
    const beginning = store.begin(place, RUN)
    await expect(beginning).rejects.toSatisfy((error) => failedWith(error, 'BackupFailed'))
    await expect(beginning).rejects.toThrow(`cannot write to ${root}: E`)
    await expect(store.verify(manifestOf(), signal)).rejects.toSatisfy((error) => failedWith(error, 'BackupFailed'))
  })

  it('stops reading when told to', async () => {
    const manifest = await stored()
    await expect(store.verify(manifest, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
  })

  it.each(['s3://bucket', '/srv/backups', '', 'file://host/srv', 'file:///a%2Fb'])(
    'is not made of the url %j',
    (url) => {
      expect(() => createStore(url)).toThrow(/store/)
    },
  )
})
