import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Client } from 'pg'
import { failure, messageOf } from '../../domain/failures.js'
import { quoteIdentifier, withSession } from '../postgres/session.js'
import { describeTarget, type Target, withDatabase } from '../postgres/target.js'

const MIGRATIONS = fileURLToPath(new URL('../../../migrations/', import.meta.url))
/** Advisory lock of the journal's own schema changes: two workers that start at once take turns. */
const SCHEMA_LOCK = 7_340_112

/** What a person runs when the worker's role may not create the journal itself. */
export const journalGrant = (target: Target): string =>
  `create database ${quoteIdentifier(target.database)} owner ${quoteIdentifier(target.user)};`

/** Creates the journal's database and schema where missing and brings them up to date. Twice is once. Throws `JournalUnavailable` with the SQL to run. */
export async function prepareJournal(target: Target, schema: string): Promise<void> {
  await createDatabase(target)
  await withSession(target, { applicationName: 'headgate journal' }, async (session) => {
    await session.query('select pg_advisory_lock($1)', [SCHEMA_LOCK])
    await createSchema(session, schema)
    await migrate(session, await storedVersions(session))
  })
}

/** Throws `JournalUnavailable` where there is none, or an older one: who carries no runs makes none, be it where its references lead by mistake. */
export async function requireJournal(target: Target, schema: string): Promise<void> {
  const newest = (await migrationFiles()).at(-1)
  const table = `${quoteIdentifier(schema)}.journal_versions`
  const isThere = await withSession(target, { applicationName: 'headgate journal' }, async (session) => {
    const { rows } = await session.query<{ there: boolean }>('select to_regclass($1) is not null as there', [table])
    if (!rows[0]?.there) return false
    return ((await session.query(`select from ${table} where version = $1`, [newest])).rowCount ?? 0) > 0
  }).catch((error: unknown) => {
    throw failure(
      'JournalUnavailable',
      `the journal ${describeTarget(target)} cannot be opened: ${messageOf(error)}`,
      error,
    )
  })
  if (isThere) return
  throw failure(
    'JournalUnavailable',
    `${describeTarget(target)} has no journal of this version in schema ${schema}`,
    undefined,
    {
      hint: 'see where url and journal lead on this host; the worker beside the database makes the journal: start that one first',
    },
  )
}

/** Of the journal's own schema, in their order. */
const migrationFiles = async (): Promise<string[]> =>
  (await readdir(MIGRATIONS)).filter((file) => file.endsWith('.sql')).sort()

async function createDatabase(target: Target): Promise<void> {
  try {
    await withSession(withDatabase(target, 'postgres'), { applicationName: 'headgate journal' }, async (session) => {
      const { rowCount } = await session.query('select from pg_database where datname = $1', [target.database])
      if (rowCount === 0)
        await session.query(`create database ${quoteIdentifier(target.database)}`).catch(ignoreDuplicate)
    })
  } catch (error) {
    // The journal may exist and only the maintenance database be closed to us: opening the journal itself decides.
    const opened = await withSession(target, { applicationName: 'headgate journal' }, async () => true).catch(
      () => false,
    )
    if (opened) return
    throw failure(
      'JournalUnavailable',
      `cannot create the journal's database ${target.database}: ${messageOf(error)}`,
      error,
      {
        evidence: journalGrant(target),
      },
    )
  }
}

/** Two workers that start at once: 42P04 duplicate_database, or 23505 from the catalog's own index. */
function ignoreDuplicate(error: { code?: string }): void {
  if (error.code !== '42P04' && error.code !== '23505') throw error
}

async function createSchema(session: Client, schema: string): Promise<void> {
  const { rowCount } = await session.query('select from pg_namespace where nspname = $1', [schema])
  if (rowCount === 0) await session.query(`create schema ${quoteIdentifier(schema)}`)
  await session.query(`set search_path to ${quoteIdentifier(schema)}`)
  const ledger = await session.query(`select to_regclass('journal_versions') as found`)
  if (ledger.rows[0]?.found === null) {
    await session.query(
      'create table journal_versions (version text primary key, applied_at timestamptz not null default clock_timestamp())',
    )
  }
}

async function storedVersions(session: Client): Promise<Set<string>> {
  const { rows } = await session.query<{ version: string }>('select version from journal_versions')
  return new Set(rows.map((row) => row.version))
}

async function migrate(session: Client, stored: Set<string>): Promise<void> {
  const files = await migrationFiles()
  if (files.every((file) => stored.has(file))) return
  // Loaded on use: it brings a command line of its own, a quarter of the time in which a worker starts.
  const { Umzug } = await import('umzug')
  await new Umzug({
    context: session,
    logger: undefined,
    migrations: files.map((file) => ({
      name: file,
      up: async () => {
        const sql = await readFile(MIGRATIONS + file, 'utf8')
        await session.query(`begin;\n${sql};\ninsert into journal_versions (version) values ('${file}');\ncommit;`)
      },
    })),
    storage: { executed: async () => [...stored], logMigration: async () => {}, unlogMigration: async () => {} },
  }).up()
}
