import { type LostRun, Rebuild, rebuildRun } from '../adapters/journal/rebuild.js'
import { findRun, isKnown, type RunRecord } from '../adapters/journal/runs.js'
import { readIdentity } from '../adapters/postgres/identity.js'
import { failure } from '../domain/failures.js'
import type { Manifest } from '../domain/manifest.js'
import { lookInto } from './look-into.js'
import { digestOf } from './plan.js'
import type { Site } from './site.js'

/**
 * Opens a run anew that the journal has lost, from the newest backup that the store has of it; one that the journal knows is
 * left as it is. Throws `RunUnknown`, `RunOpen`, and `DatabaseWrong` for the backup of a database on another cluster.
 */
export async function fromBackup(site: Site, name: string): Promise<RunRecord> {
  if (!(await isKnown(site.journal, name))) {
    const lost = await lostRun(site, name)
    if (lost) await rebuildRun(site.journal, lost)
  }
  return findRun(site.journal, name)
}

/** The newest run that the store has a backup of and the journal does not know. */
export async function newestLost(site: Site): Promise<string | undefined> {
  for (const { run, rebuild } of (await stored(site)).toReversed()) {
    const { data } = Rebuild.safeParse(rebuild)
    if (data && data.plan.kind !== 'backup' && !(await isKnown(site.journal, run))) return run
  }
  return undefined
}

async function lostRun(site: Site, name: string): Promise<LostRun | undefined> {
  const manifests = (await stored(site)).filter(({ run }) => run === name)
  const newest = manifests.at(-1)
  const { data: rebuild } = Rebuild.safeParse(newest?.rebuild)
  // A backup by itself changes nothing that would have to be ended.
  if (!newest || !rebuild || rebuild.plan.kind === 'backup') return undefined
  const now = await lookInto(site, site.control, 'headgate recover', readIdentity)
  if (now.systemIdentifier !== newest.systemIdentifier || now.database !== newest.database)
    throw failure('DatabaseWrong', `backup ${newest.name} of run ${name} is of a database on another cluster`)
  const isOther = now.oid !== newest.databaseOid
  const unread = await unreadable(site, newest)
  const text = [
    `it had lost this run: what is told of it is what backup ${newest.name} says`,
    ...(isOther ? ['the database is not the one that the backup is of: a swap, or somebody, has replaced it'] : []),
    ...(unread.length > 0 ? [`there are newer backups that cannot be read: ${unread.join(', ')}`] : []),
  ].join('; ')
  return { manifests, newest, rebuild, digest: digestOf(rebuild.plan), oid: now.oid, isUnsure: unread.length > 0, text }
}

const stored = async ({ store, configuration: { backup, project, environment } }: Site): Promise<Manifest[]> =>
  backup === false ? [] : (await store.list(project, environment)).flatMap(({ manifest }) => manifest ?? [])

async function unreadable({ store }: Site, { project, environment, name }: Manifest): Promise<string[]> {
  const all = await store.list(project, environment)
  return all.filter((one) => one.manifest === undefined && one.name > name).map((one) => one.name)
}
