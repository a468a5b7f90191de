import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../../src/adapters/process/provision.js'

/** As the set-up provides it. */
export const SQLX = join(cacheFolder(), 'sqlx-0.8.6', 'bin', 'sqlx')
/** Where there is no Rust to build it with, its tests are left out; the set-up says so. */
export const HAS_SQLX = existsSync(SQLX)

/** The ledger of a database that has version 1: `FIRST` of the world. */
export const SQLX_LEDGER = `create table _sqlx_migrations (version bigint primary key, description text not null,
    installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null);
  insert into _sqlx_migrations values (1, 'orders', now(), true, sha384(E'-- the schema of release 1\\nselect 1'), 1)`

export interface SqlxMigration {
  version: string
  up: string[]
  down?: string
  transactional?: boolean
  phase?: 'contract'
}

/** Writes a folder as `sqlx migrate add` would name its files, with exactly these migrations. */
export function writeSqlx(folder: string, migrations: readonly SqlxMigration[]): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const { version, up, down, transactional, phase } of migrations) {
    const head = [
      ...(transactional === false ? ['-- no-transaction'] : []),
      ...(phase ? [`-- headgate:phase=${phase}`] : []),
    ]
    const name = `${version}_change_${version}`
    writeFileSync(join(folder, `${name}${down ? '.up' : ''}.sql`), [...head, ...up.map((sql) => `${sql};`)].join('\n'))
    if (down) writeFileSync(join(folder, `${name}.down.sql`), down)
  }
}
