import { Manifest } from '../../domain/manifest.js'
import type { Journal, Statement } from './journal.js'

/** `dropped`: its bytes are gone, on purpose. */
export type BackupState = 'valid' | 'damaged' | 'dropped'

export interface BackupRecord {
  manifest: Manifest
  state: BackupState
  checkedAt: Date
}

interface BackupRow {
  manifest: unknown
  state: BackupState
  checked_at: Date
}

const record = (row: BackupRow): BackupRecord => ({
  manifest: Manifest.parse(row.manifest),
  state: row.state,
  checkedAt: row.checked_at,
})

/** Keeps a backup that was just proven valid, or damaged. Twice is once. */
export async function recordBackup(journal: Journal, manifest: Manifest, state: BackupRecord['state']): Promise<void> {
  await journal.write((sql) => insertBackup(sql, manifest, state))
}

/** As `recordBackup`, in a transaction that is under way. */
export const insertBackup = (sql: Statement, manifest: Manifest, state: BackupState): Promise<unknown> =>
  sql(
    `insert into backups (project, environment, name, kind, run, stage, system_identifier, database, state, manifest)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       on conflict (project, environment, name, kind) do update set state = $9, checked_at = clock_timestamp()`,
    [
      manifest.project,
      manifest.environment,
      manifest.name,
      manifest.kind,
      manifest.run,
      manifest.stage,
      manifest.systemIdentifier,
      manifest.database,
      state,
      JSON.stringify(manifest),
    ],
  )

/** Backups of one run's stage, newest first: a clone before a dump of the same name. */
export async function backupsOfStage(journal: Journal, run: string, stage: number): Promise<BackupRecord[]> {
  const rows = await journal.read<BackupRow>(
    `select * from backups where run = $1 and stage = $2 order by name desc, kind`,
    [run, stage],
  )
  return rows.map(record)
}

/** Backups of one run, newest first. */
export async function backupsOfRun(journal: Journal, run: string): Promise<BackupRecord[]> {
  const rows = await journal.read<BackupRow>('select * from backups where run = $1 order by name desc, kind', [run])
  return rows.map(record)
}

/** All backups of an environment, newest first. */
export async function listBackups(journal: Journal, project: string, environment: string): Promise<BackupRecord[]> {
  const rows = await journal.read<BackupRow>(
    `select * from backups where project = $1 and environment = $2 order by manifest->>'takenAt' desc, kind`,
    [project, environment],
  )
  return rows.map(record)
}
