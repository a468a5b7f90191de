import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Manifest } from '../../domain/manifest.js'

/** What a manifest says about the database, read from outside of it: it may be closed. */
export interface DatabaseFacts
  extends Pick<Manifest, 'systemIdentifier' | 'database' | 'databaseOid' | 'serverVersion'> {
  serverMajor: number
  isOpen: boolean
  bytes: string
}

const FACTS = `
select system_identifier::text as "systemIdentifier", datname::text as "database", d.oid::text as "databaseOid",
       current_setting('server_version') as "serverVersion", current_setting('server_version_num')::int / 10000 as "serverMajor",
       datallowconn as "isOpen", pg_database_size(d.oid)::text as "bytes"
  from pg_database d, pg_control_system() where datname = $1`

/** Undefined when there is no such database. */
export async function readFacts(control: Client, database: string): Promise<DatabaseFacts | undefined> {
  const { rows } = await control.query<DatabaseFacts>(FACTS, [database])
  return rows[0]
}

/** Throws `BackupFailed` when there is no such database. */
export async function requireFacts(control: Client, database: string): Promise<DatabaseFacts> {
  const facts = await readFacts(control, database)
  if (!facts) throw failure('BackupFailed', `there is no database ${database}`)
  return facts
}

/** Throws `DatabaseWrong` when the backup is of another database or cluster than the one at hand. */
export async function requireSameDatabase(control: Client, manifest: Manifest, database: string): Promise<void> {
  const { rows } = await control.query<{ system: string }>(
    'select system_identifier::text as system from pg_control_system()',
  )
  if (manifest.database !== database) {
    throw failure('DatabaseWrong', `backup ${manifest.name} is of database ${manifest.database}, not of ${database}`)
  }
  if (rows[0]?.system !== manifest.systemIdentifier) {
    throw failure('DatabaseWrong', `backup ${manifest.name} is of a database ${database} in another cluster`)
  }
}
