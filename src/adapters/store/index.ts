import { fileURLToPath } from 'node:url'
import { failure } from '../../domain/failures.js'
import { createDirectoryStore } from './directory.js'
import type { BackupStore } from './port.js'

export type { BackupPlace, BackupStore, StoredBackup, UnfinishedBackup } from './port.js'

/** Add a kind of store: one file, one line here. */
const stores: Record<string, (url: URL) => BackupStore> = {
  'file:': (url) => createDirectoryStore(fileURLToPath(url)),
}

/** The store at `url` (`file:///srv/backups`). Touches nothing yet. Throws `ConfigurationInvalid`, never with the url's text. */
export function createStore(url: string): BackupStore {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const create = parsed && stores[parsed.protocol]
  if (!create) throw failure('ConfigurationInvalid', `a store is one of ${Object.keys(stores).join(', ')}//`)
  try {
    return create(parsed)
  } catch (error) {
    throw failure('ConfigurationInvalid', "the store's url is no absolute path on this host", error)
  }
}
