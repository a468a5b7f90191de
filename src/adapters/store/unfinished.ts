import { createHash } from 'node:crypto'
import { type FileHandle, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { failure, knownFailure } from '../../domain/failures.js'
import type { Manifest } from '../../domain/manifest.js'
import { hashOfFile } from './hash-of-file.js'
import { MANIFEST_FILE, writeManifest } from './manifest-file.js'
import { isFileName, partialName, segmentsOf } from './names.js'
import type { BackupPlace, UnfinishedBackup } from './port.js'
import {
  errnoOf,
  FILE_MODE,
  makeFolderBelow,
  makeRoot,
  namesIn,
  openNew,
  openPlain,
  syncFolder,
} from './safe-folder.js'

/** A new, empty folder for a backup; what an earlier attempt left under the same name goes first. */
export async function begin(root: string, place: BackupPlace, run: string): Promise<UnfinishedBackup> {
  const [project, environment, name] = segmentsOf(place)
  const real = await makeRoot(root)
  const parent = await makeFolderBelow(real, [project, environment])
  if ((await namesIn(parent)).includes(name)) throw failure('BackupFailed', `backup ${name} exists already`)
  const partial = partialName(name, run)
  await rm(join(parent, partial), { recursive: true, force: true })
  const folder = await makeFolderBelow(real, [project, environment, partial])
  return {
    folder,
    write: (file, content) => writing(folder, () => writeFile(folder, file, content)),
    collect: (signal) => writing(folder, () => collect(folder, signal)),
    finish: (manifest) => writing(folder, () => finish(folder, join(parent, name), manifest)),
    discard: () => writing(folder, () => rm(folder, { recursive: true, force: true })),
  }
}

async function writeFile(
  folder: string,
  name: string,
  content: AsyncIterable<Uint8Array>,
): Promise<Manifest['files'][string]> {
  if (!isFileName(name)) throw failure('StateUnexpected', `${JSON.stringify(name)} is no name of a file`)
  const partial = join(folder, `${name}.partial`)
  const handle = await openNew(partial)
  try {
    const written = await writeAll(handle, content).finally(() => handle.close())
    await rename(partial, join(folder, name))
    await syncFolder(folder)
    return written
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function writeAll(handle: FileHandle, content: AsyncIterable<Uint8Array>): Promise<Manifest['files'][string]> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of content) {
    hash.update(chunk)
    await handle.appendFile(chunk)
    bytes += chunk.byteLength
  }
  await handle.sync()
  return { bytes, sha256: hash.digest('hex') }
}

async function collect(folder: string, signal: AbortSignal): Promise<Manifest['files']> {
  const files: Manifest['files'] = {}
  for (const name of await namesIn(folder)) {
    if (!isFileName(name)) throw failure('BackupFailed', `${JSON.stringify(name)} in ${folder} is not a backup's file`)
    const handle = await openPlain(join(folder, name))
    try {
      if ((await handle.stat()).nlink !== 1)
        throw failure('BackupFailed', `${name} in ${folder} has another name elsewhere`)
      await handle.chmod(FILE_MODE)
      files[name] = await hashOfFile(handle, signal)
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
  await syncFolder(folder)
  return files
}

async function finish(folder: string, final: string, manifest: Manifest): Promise<void> {
  await writeFile(folder, MANIFEST_FILE, once(writeManifest(manifest)))
  // One step, and never over another backup: a folder with files in it cannot be replaced.
  await rename(folder, final)
  await syncFolder(dirname(final))
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Whatever goes wrong is told with the folder and the errno. */
export async function writing<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (knownFailure(error) || (error instanceof Error && error.name === 'AbortError')) throw error
    throw failure('BackupFailed', `cannot write to ${folder}: ${errnoOf(error)}`, error)
  }
}
