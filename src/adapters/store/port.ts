import type { Manifest } from '../../domain/manifest.js'

/** Which backup: `<project>/<environment>/<name>` below the store's root. */
export type BackupPlace = Pick<Manifest, 'project' | 'environment' | 'name'>

/** A backup being written. Nobody sees it before `finish`. */
export interface UnfinishedBackup {
  /** Absolute, mode 0700, empty at first: a tool may write its files into it. */
  readonly folder: string
  /** Writes one new file: hashed while written, on disk when this returns. Throws `BackupFailed`; then nothing of the file is left. */
  write(name: string, content: AsyncIterable<Uint8Array>): Promise<Manifest['files'][string]>
  /** Hashes every file in the folder, gives it mode 0600 and brings it to disk. Throws `BackupFailed` for what is no plain file. */
  collect(signal: AbortSignal): Promise<Manifest['files']>
  /** Writes the manifest, the last file, then gives the folder its name in one step. Throws `BackupFailed`, also where the name is taken. */
  finish(manifest: Manifest): Promise<void>
  /** Removes it all. After `finish`, and twice, it does nothing. */
  discard(): Promise<void>
}

/** A backup as found. `manifest` is undefined when the file is damaged. */
export interface StoredBackup {
  name: string
  manifest: Manifest | undefined
}

/**
 * Where the bytes of backups are. Only `begin`, `prepare` and `removeLeftovers` change anything; call `begin` and `removeLeftovers` under the database's fence.
 * Every method throws `BackupFailed` when the store itself cannot be reached: that says nothing about the backups in it.
 */
export interface BackupStore {
  /** In words, for reports. */
  readonly description: string
  /** Throws `BackupFailed` naming the folder and the errno. */
  begin(place: BackupPlace, run: string): Promise<UnfinishedBackup>
  /** Backups with a manifest: one without does not exist. Oldest first. */
  list(project: string, environment: string): Promise<StoredBackup[]>
  /** The manifest as stored; undefined when there is no such backup. Throws `BackupDamaged` when it was changed. */
  read(place: BackupPlace): Promise<Manifest | undefined>
  /**
   * Reads every byte again. Throws `BackupDamaged` naming the file that is missing, unknown, no plain file, of another
   * size or hash, or the manifest when it is not the stored one.
   */
  verify(manifest: Manifest, signal: AbortSignal): Promise<void>
  /** A local folder with the backup's files, for a tool to read. Verify first. Throws `BackupDamaged`. */
  folderOf(place: BackupPlace): Promise<string>
  /** Removes what unfinished attempts of one run and stage left. Succeeds when there is nothing. */
  removeLeftovers(owner: Pick<Manifest, 'project' | 'environment' | 'run' | 'stage'>): Promise<void>
  /** Free bytes for whoever runs the worker. Changes nothing, also where the folder is not there yet. */
  freeBytes(): Promise<bigint>
  /** Makes the store where it is missing. Throws `BackupFailed` where nothing can be written into it. Twice is once. */
  prepare(): Promise<void>
}
