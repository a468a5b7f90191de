import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { failedWith, failure, knownFailure } from '../../domain/failures.js'
import { Manifest } from '../../domain/manifest.js'
import { hashOfFile } from './hash-of-file.js'
import { MANIFEST_FILE, readManifest } from './manifest-file.js'
import { environmentSegments, isBackupName, isFileName, segmentsOf } from './names.js'
import type { BackupPlace, StoredBackup } from './port.js'
import { errnoOf, folderBelow, namesIn, openPlain, safeRoot } from './safe-folder.js'

/** A manifest is some megabytes where there are many tables; this much is none. */
const MANIFEST_LIMIT_BYTES = 512 * 1_048_576

export async function list(root: string, project: string, environment: string): Promise<StoredBackup[]> {
  const parent = join(root, ...environmentSegments({ project, environment }))
  const found: StoredBackup[] = []
  for (const name of (await namesIn(parent)).filter(isBackupName)) {
    const place = { project, environment, name }
    const manifest = await read(root, place).catch((error) => {
      if (failedWith(error, 'BackupDamaged')) return null
      throw error
    })
    if (manifest !== undefined) found.push({ name, manifest: manifest ?? undefined })
  }
  return found
}

export async function read(root: string, place: BackupPlace): Promise<Manifest | undefined> {
  const path = join(root, ...segmentsOf(place), MANIFEST_FILE)
  const real = await reachable(root)
  if (real === undefined) return undefined
  try {
    await folderBelow(real, segmentsOf(place))
    const handle = await openPlain(path)
    try {
      if ((await handle.stat()).size > MANIFEST_LIMIT_BYTES) throw new Error('it is too large')
      return requirePlace(readManifest(await handle.readFile('utf8'), path), place, path)
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw knownFailure(error) ? error : failure('BackupDamaged', `cannot read ${path}: ${errnoOf(error)}`, error)
  }
}

/** A whole folder, moved, would be taken for another backup. */
function requirePlace(manifest: Manifest, place: BackupPlace, path: string): Manifest {
  const isSame = (['project', 'environment', 'name'] as const).every((key) => manifest[key] === place[key])
  if (isSame) return manifest
  throw failure(
    'BackupDamaged',
    `${path} is the manifest of another backup: ${manifest.project}/${manifest.environment}/${manifest.name}`,
  )
}

export async function verify(root: string, manifest: Manifest, signal: AbortSignal): Promise<void> {
  const folder = await existing(root, manifest)
  const stored = await read(root, manifest)
  const path = join(folder, MANIFEST_FILE)
  if (!stored) throw failure('BackupDamaged', `${path} is missing`)
  if (!isDeepStrictEqual(stored, Manifest.parse(manifest)))
    throw failure('BackupDamaged', `${path} is not the manifest that was kept`)
  const unknown = (await namesIn(folder)).find((name) => name !== MANIFEST_FILE && !Object.hasOwn(manifest.files, name))
  if (unknown !== undefined)
    throw failure('BackupDamaged', `${JSON.stringify(unknown)} in ${folder} does not belong to the backup`)
  for (const [name, expected] of Object.entries(manifest.files)) {
    if (!isFileName(name)) throw failure('BackupDamaged', `${JSON.stringify(name)} is no name of a backup's file`)
    await verifyFile(join(folder, name), expected, signal)
  }
}

async function verifyFile(path: string, expected: Manifest['files'][string], signal: AbortSignal): Promise<void> {
  const found = await rehash(path, signal)
  if (found.bytes !== expected.bytes) {
    throw failure('BackupDamaged', `${path} has ${found.bytes} bytes, not ${expected.bytes}`)
  }
  if (found.sha256 !== expected.sha256) throw failure('BackupDamaged', `${path} was changed: its hash is another one`)
}

async function rehash(path: string, signal: AbortSignal): Promise<Manifest['files'][string]> {
  try {
    const handle = await openPlain(path)
    return await hashOfFile(handle, signal).finally(() => handle.close())
  } catch (error) {
    signal.throwIfAborted()
    throw failure('BackupDamaged', `cannot read ${path}: ${errnoOf(error)}`, error)
  }
}

export async function existing(root: string, place: BackupPlace): Promise<string> {
  const segments = segmentsOf(place)
  const real = await reachable(root)
  if (real === undefined) throw failure('BackupFailed', `cannot read ${root}: ENOENT`)
  try {
    return await folderBelow(real, segments)
  } catch (error) {
    throw failure('BackupDamaged', `cannot read ${join(root, ...segments)}: ${errnoOf(error)}`, error)
  }
}

/** The root's real path, undefined when there is none. A store that cannot be reached says nothing about what is in it. */
async function reachable(root: string): Promise<string | undefined> {
  try {
    return await safeRoot(root)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw failure('BackupFailed', `cannot read ${root}: ${errnoOf(error)}`, error)
  }
}
