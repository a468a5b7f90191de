import { access, constants, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { environmentSegments, isLeftover } from './names.js'
import type { BackupStore } from './port.js'
import { folderBelow, makeRoot, namesIn, nearestExisting, safeRoot, syncFolder } from './safe-folder.js'
import { existing, list, read, verify } from './stored.js'
import { begin, writing } from './unfinished.js'

/** Backups in a folder of the worker's host: `<root>/<project>/<environment>/<name>/`. Folders 0700, files 0600. */
export function createDirectoryStore(root: string): BackupStore {
  return {
    description: `file://${root}`,
    begin: (place, run) => writing(root, () => begin(root, place, run)),
    list: (project, environment) => list(root, project, environment),
    read: (place) => read(root, place),
    verify: (manifest, signal) => verify(root, manifest, signal),
    folderOf: (place) => existing(root, place),
    removeLeftovers: (owner) => writing(root, () => removeLeftovers(root, owner)),
    freeBytes: () => writing(root, () => freeBytes(root)),
    prepare: () => writing(root, () => prepare(root)),
  }
}

async function removeLeftovers(root: string, owner: Parameters<BackupStore['removeLeftovers']>[0]): Promise<void> {
  const segments = environmentSegments(owner)
  const leftovers = (await namesIn(join(root, ...segments))).filter((name) => isLeftover(name, owner.run, owner.stage))
  if (leftovers.length === 0) return
  const parent = await folderBelow(await safeRoot(root), segments)
  for (const name of leftovers) await rm(join(parent, name), { recursive: true, force: true })
  await syncFolder(parent)
}

async function freeBytes(root: string): Promise<bigint> {
  const { bavail, bsize } = await statfs(await nearestExisting(root), { bigint: true })
  return bavail * bsize
}

async function prepare(root: string): Promise<void> {
  await access(await makeRoot(root), constants.W_OK | constants.X_OK)
}
