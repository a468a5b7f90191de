import { randomBytes } from 'node:crypto'
import { access, mkdir, rm, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, isAbsolute, join, resolve } from 'node:path'

/** Where what is downloaded or built once is kept, outside any project: `HEADGATE_CACHE`, else the user's cache folder. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const { HEADGATE_CACHE, XDG_CACHE_HOME } = env
  if (HEADGATE_CACHE) return resolve(HEADGATE_CACHE)
  // By its specification a relative path there is ignored.
  return join(XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache'), 'headgate')
}

/**
 * Makes `folder` by `install`, unless it is there. It appears whole or not at all, under its own name only at the end, so
 * that several may install at once: the first to finish wins. Throws what `install` throws.
 */
export async function installOnce(folder: string, install: (into: string) => Promise<void>): Promise<string> {
  if (await isThere(folder)) return folder
  const into = `${folder}.${process.pid}-${randomBytes(3).toString('hex')}`
  await mkdir(into, { recursive: true })
  try {
    await install(into)
    await name(into, folder)
  } catch (error) {
    await rm(into, { recursive: true, force: true })
    throw error
  }
  return folder
}

/** A link and not a new name: a Python environment has its own path written all over it. */
async function name(made: string, folder: string): Promise<void> {
  try {
    await symlink(basename(made), folder)
  } catch (error) {
    if (!(await isThere(folder))) throw error
    await rm(made, { recursive: true, force: true })
  }
}

export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
