import { constants } from 'node:fs'
import { chmod, type FileHandle, lstat, mkdir, open, readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'

const FOLDER_MODE = 0o700
export const FILE_MODE = 0o600
const WRITABLE_BY_OTHERS = 0o022

/** `ENOSPC`, `EACCES`; the error's own words when it has no errno. */
export const errnoOf = (error: unknown): string =>
  error instanceof Error
    ? 'code' in error && typeof error.code === 'string'
      ? error.code
      : error.message
    : String(error)

/** The root's real path. Throws a plain Error when it is no folder, or when others may write into it: they could then swap what was checked. */
export async function safeRoot(root: string): Promise<string> {
  const real = await realpath(root)
  const { mode } = await stat(real)
  if (!(await lstat(real)).isDirectory()) throw new Error('ENOTDIR')
  if (mode & WRITABLE_BY_OTHERS) throw new Error('others may write into it')
  return real
}

/** The root, or of its parents the nearest that exists. */
export async function nearestExisting(root: string): Promise<string> {
  for (let path = root; ; path = dirname(path)) {
    try {
      await stat(path)
      return path
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error
    }
  }
}

/** Makes the root where it is missing, for nobody else to enter. Part by part: a recursive mkdir never ends below `/proc`. */
export async function makeRoot(root: string): Promise<string> {
  const existing = await nearestExisting(root)
  await makeFolders(existing, relative(existing, root).split(sep).filter(Boolean))
  return safeRoot(root)
}

/** The folder below `root`, each part of the path a folder of its own and no link. Throws a plain Error (`ENOENT` where missing). */
export async function folderBelow(root: string, segments: readonly string[]): Promise<string> {
  let path = root
  for (const segment of segments) {
    path = join(path, segment)
    if (!(await lstat(path)).isDirectory()) throw new Error(`${path} is no folder`)
  }
  if ((await realpath(path)) !== path) throw new Error(`${path} leads out of the store`)
  return path
}

/** As `folderBelow`, making what is missing with mode 0700 whatever the umask. */
export async function makeFolderBelow(root: string, segments: readonly string[]): Promise<string> {
  await makeFolders(root, segments)
  return folderBelow(root, segments)
}

async function makeFolders(root: string, segments: readonly string[]): Promise<void> {
  for (let depth = 1; depth <= segments.length; depth++) {
    const path = join(root, ...segments.slice(0, depth))
    try {
      await mkdir(path, { mode: FOLDER_MODE })
      await chmod(path, FOLDER_MODE)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

/** Opens a plain file for reading: no link is followed, no pipe waited for. */
export async function openPlain(path: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  if ((await handle.stat()).isFile()) return handle
  await handle.close()
  throw new Error('it is no plain file')
}

/** Makes a new file with mode 0600 whatever the umask; fails where anything of the name exists. */
export async function openNew(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const handle = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE)
  await handle.chmod(FILE_MODE)
  return handle
}

/** Names in the folder, sorted; [] where it is missing. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Brings a folder's names to disk: a file's own fsync does not. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  await handle.sync().finally(() => handle.close())
}
