import type { Client } from 'pg'
import { quoteIdentifier } from '../postgres/session.js'

/** `schema.table`; without a schema it is `public`, whatever the role's search path says. */
export const qualified = (table: string): string => (table.includes('.') ? table : `public.${table}`)

/** `table` or `schema.table` as SQL. */
export const quotedTable = (table: string): string => table.split('.').map(quoteIdentifier).join('.')

/** Whether there is such a table; `quoted` as SQL. Creates nothing. */
export async function tableExists(session: Client, quoted: string): Promise<boolean> {
  const { rows } = await session.query<{ found: boolean }>('select to_regclass($1) is not null as found', [quoted])
  return rows[0]?.found ?? false
}

/** Takes the table away while nothing is in it: a run that did nothing leaves nothing. */
export async function dropIfEmpty(session: Client, quoted: string): Promise<void> {
  const { rowCount } = await session.query(`select from ${quoted} limit 1`)
  if (rowCount === 0) await session.query(`drop table ${quoted}`)
}
