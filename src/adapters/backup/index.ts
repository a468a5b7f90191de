import type { Manifest } from '../../domain/manifest.js'
import { createCloneEngine } from './clone.js'
import { createDumpEngine, type DumpOptions } from './dump.js'
import type { BackupEngine } from './port.js'

export { type CloneEngine, type CloneOptions, createCloneEngine } from './clone.js'
export { createDumpEngine, type DumpOptions } from './dump.js'
export { type BackupFacts, type PlannedBackups, planBackups } from './plan-backups.js'
export type { BackupEngine, BackupIdentity, BackupRequest } from './port.js'

/** Add a kind: one file, one line here, one member of the manifest's `kind`. */
const engines: { [K in Manifest['kind']]: (options: DumpOptions) => BackupEngine } = {
  clone: createCloneEngine,
  dump: createDumpEngine,
}

/** Every kind of backup for one database. Touches nothing yet. */
export function createBackupEngines(options: DumpOptions): Record<Manifest['kind'], BackupEngine> {
  return { clone: engines.clone(options), dump: engines.dump(options) }
}
