import type { Client } from 'pg'
import type { Fence } from '../../domain/fence.js'
import { type Statement, splitStatements } from '../postgres/sql-statements.js'
import { concurrentIndexOf } from '../postgres/statement-kind.js'

/** What there is of the index that a `create index concurrently` builds; `none` for every other statement. */
export type IndexState = 'none' | 'invalid' | 'valid'

export async function stateOfIndex(session: Client, statement: Statement): Promise<IndexState> {
  const { rows } = await findIndex(session, statement)
  return rows[0] === undefined ? 'none' : rows[0].valid ? 'valid' : 'invalid'
}

/**
 * Drops the indexes that this SQL builds concurrently and that are there half-built: such a one stands in its own way, or is
 * taken for built where the statement says `if not exists`.
 */
export async function dropHalfBuilt(session: Client, sql: readonly string[], fence: Fence): Promise<void> {
  for (const statement of sql.flatMap(splitStatements)) {
    if ((await stateOfIndex(session, statement)) !== 'invalid') continue
    fence.progress(`drops the index ${concurrentIndexOf(statement)?.index}, whose building broke off`)
    await fence.check()
    await dropIndex(session, statement)
  }
}

/** Drops that index, waiting quietly. */
export async function dropIndex(session: Client, statement: Statement): Promise<void> {
  const { rows } = await findIndex(session, statement)
  if (!rows[0]) return
  const asked = await setting(session, 'lock_timeout')
  await session.query('set lock_timeout = 0')
  await session.query(`drop index concurrently if exists ${rows[0].name}`)
  await session.query(`select set_config('lock_timeout', $1, false)`, [asked])
}

/** The index lives in its table's schema. */
async function findIndex(session: Client, statement: Statement): Promise<{ rows: { name: string; valid: boolean }[] }> {
  const built = concurrentIndexOf(statement)
  if (!built) return { rows: [] }
  return session.query<{ name: string; valid: boolean }>(
    `select format('%I.%I', n.nspname, c.relname) as name, i.indisvalid and i.indisready and i.indislive as valid
       from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
      where i.indrelid = to_regclass($1) and c.relname = (parse_ident($2))[1]`,
    [built.table, built.index],
  )
}

/** A setting of the session as it stands now. */
export async function setting(session: Client, name: string): Promise<string> {
  const { rows } = await session.query<{ value: string }>('select current_setting($1) as value', [name])
  return rows[0]?.value ?? '0'
}
