import type { Client } from 'pg'
import type { Ledger } from '../../domain/migration.js'
import { dropIfEmpty, qualified, quotedTable, tableExists } from './ledger-table.js'

const quoted = (table: string): string => quotedTable(qualified(table))

/** How far a migration without a transaction has come. */
export interface Progress {
  /** Statements that are done, from the first. */
  done: number
  /** The statement (from 1) that was begun outside of a transaction, and may have happened; 0 for none. */
  tried: number
}

/** Reads the ledger; creates nothing. */
export async function readUmzugLedger(session: Client, table: string): Promise<Ledger> {
  if (!(await tableExists(session, quoted(table)))) return { exists: false, applied: [] }
  const { rows } = await session.query<{ version: string; name: string; checksum: string; dirty: boolean }>(
    `select version, name, checksum, dirty from ${quoted(table)} order by applied_at, version`,
  )
  const dirty = rows.find((row) => row.dirty)?.version
  const applied = rows.filter((row) => !row.dirty).map(({ version, name, checksum }) => ({ version, name, checksum }))
  return { exists: true, applied, ...(dirty === undefined ? {} : { dirty }) }
}

/** The ledger as the child writes it. Every method runs in the session's transaction, where there is one. */
export class UmzugLedger {
  readonly #session: Client
  readonly #table: string

  constructor(session: Client, table: string) {
    this.#session = session
    this.#table = quoted(table)
  }

  async create(): Promise<void> {
    await this.#session.query(`create table if not exists ${this.#table} (
      version text primary key,
      name text not null,
      checksum text not null,
      applied_at timestamptz not null default now(),
      dirty boolean not null default false,
      done integer not null default 0,
      tried integer not null default 0
    )`)
  }

  async add(file: { version: string; name: string; checksum: string }, dirty: boolean): Promise<void> {
    await this.#session.query(`insert into ${this.#table} (version, name, checksum, dirty) values ($1, $2, $3, $4)`, [
      file.version,
      file.name,
      file.checksum,
      dirty,
    ])
  }

  async remove(version: string): Promise<void> {
    await this.#session.query(`delete from ${this.#table} where version = $1`, [version])
  }

  async progressOf(version: string): Promise<(Progress & { checksum: string }) | undefined> {
    const { rows } = await this.#session.query<Progress & { checksum: string }>(
      `select done, tried, checksum from ${this.#table} where version = $1 and dirty`,
      [version],
    )
    return rows[0]
  }

  /** As if nothing of it had been tried, by its file as it is now; it stays dirty. */
  async beginAnew({ version, name, checksum }: { version: string; name: string; checksum: string }): Promise<void> {
    await this.#session.query(
      `update ${this.#table} set name = $2, checksum = $3, done = 0, tried = 0 where version = $1 and dirty`,
      [version, name, checksum],
    )
  }

  async setProgress(version: string, { done, tried }: Progress): Promise<void> {
    await this.#asOurselves(`update ${this.#table} set done = $2, tried = $3 where version = $1`, [
      version,
      done,
      tried,
    ])
  }

  async finish(version: string): Promise<void> {
    await this.#asOurselves(`update ${this.#table} set dirty = false, applied_at = now() where version = $1`, [version])
  }

  /** Takes the table away again while nothing is in it: a run that did nothing leaves nothing. */
  async dropIfEmpty(): Promise<void> {
    await dropIfEmpty(this.#session, this.#table)
  }

  /** Between the statements of a migration, which may have taken another role. */
  async #asOurselves(sql: string, values: unknown[]): Promise<void> {
    const { rows } = await this.#session.query<{ role: string }>(`select current_setting('role') as role`)
    const { role = 'none' } = rows[0] ?? {}
    if (role !== 'none') await this.#session.query('set role none')
    await this.#session.query(sql, values)
    if (role !== 'none') await this.#session.query(`select set_config('role', $1, false)`, [role])
  }
}
