import { type BackupState, listBackups } from '../adapters/journal/backups.js'
import { failure } from '../domain/failures.js'
import type { Manifest } from '../domain/manifest.js'
import type { Site } from './site.js'

/** As `findBackup`, among those that can be restored from. */
export const findValidBackup = (site: Site, name: string): Promise<Manifest> => findBackup(site, name, ['valid'])

/** The backup by its name, with its kind after a slash where both exist. Throws `RunUnknown`. */
export async function findBackup(
  { journal, configuration }: Site,
  name: string,
  states: readonly BackupState[] = ['valid', 'damaged', 'dropped'],
): Promise<Manifest> {
  const [wanted, kind] = name.split('/')
  const all = await listBackups(journal, configuration.project, configuration.environment)
  const found = all.find(
    ({ manifest, state }) =>
      states.includes(state) && manifest.name === wanted && (kind === undefined || manifest.kind === kind),
  )
  if (!found) throw failure('RunUnknown', `there is no ${states.length === 1 ? 'valid ' : ''}backup ${name}`)
  return found.manifest
}
