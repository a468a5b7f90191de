import type { Client } from 'pg'
import type { Fence } from '../../domain/fence.js'
import type { Manifest } from '../../domain/manifest.js'

/** What the run knows and the engine writes into the manifest. */
export type BackupIdentity = Pick<
  Manifest,
  'name' | 'project' | 'environment' | 'run' | 'stage' | 'epoch' | 'tag' | 'gate' | 'ledger' | 'priorStates' | 'rebuild'
>

/** What to take, and how to get at it. */
export interface BackupRequest extends BackupIdentity {
  /** The database the bytes are read from, where it is not the live one: its clone. */
  source?: string
  /**
   * Opens a session on the live database that the step accounts for (the proof of a closed gate counts sessions). Without
   * it the engine opens its own.
   */
  onSource?: <T>(work: (session: Client) => Promise<T>) => Promise<T>
}

/** One way to keep a database's state. */
export interface BackupEngine {
  readonly kind: Manifest['kind']
  /**
   * Takes the backup of the database. Leftovers of an earlier attempt of the same run and stage are removed first; called
   * twice with one name there is one backup. A database found closed is closed again, and proven to have let nobody else in.
   * Throws `BackupFailed`; then nothing of the name exists.
   */
  take(request: BackupRequest, fence: Fence): Promise<Manifest>
  /**
   * Proves it is still what the manifest says: bytes read again and hashed, or fingerprint and row counts compared. Throws
   * `BackupDamaged`, and `DatabaseWrong` for a backup of another database. Leaves everything as it was.
   */
  verify(manifest: Manifest, signal: AbortSignal): Promise<void>
  /**
   * Brings the state into the database `beside` (created here, without connections for others) and proves its fingerprint
   * equal to the manifest's. For a clone that is the clone itself: returns its name. A half-filled leftover is dropped
   * first; calling it twice gives one database. The database stays closed. `elsewhere`: into another database or cluster
   * than the manifest's; `beside` is then any name that is free. Throws `BackupDamaged`, `DatabaseWrong`, `RestoreFailed`;
   * the live database is not touched.
   */
  restoreBeside(manifest: Manifest, beside: string, fence: Fence, options?: { elsewhere?: boolean }): Promise<string>
  /** The tools it needs, by name and version. Throws `ToolMissing` or what says which one is too old. Absent where it needs none. */
  describe?(signal: AbortSignal): Promise<string[]>
  /** Removes the backup for good. Twice is once. Absent where no run does so: dumps stay until a person prunes them. */
  drop?(manifest: Manifest, fence: Fence): Promise<void>
  /** The manifest with a hash of each table's rows, where `take` leaves them out: it takes seconds per GB. */
  withHashes?(manifest: Manifest, signal: AbortSignal): Promise<Manifest>
  /** Removes what an unfinished `take` or `restoreBeside` left of this run and stage. Succeeds when there is nothing. */
  discard(owner: Pick<BackupIdentity, 'project' | 'environment' | 'run' | 'stage'>, fence: Fence): Promise<void>
}
