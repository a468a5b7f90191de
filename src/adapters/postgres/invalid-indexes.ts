import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { quoteIdentifier } from './session.js'

/** An index that no query may use: what an interrupted `CONCURRENTLY` leaves. */
export interface InvalidIndex {
  /** `schema.name`, quoted where needed. */
  index: string
  schema: string
  name: string
  table: string
  /** `create index ...` of it. */
  definition: string
  /** The half-made copy (`_ccnew`) or the replaced original (`_ccold`) of a `REINDEX CONCURRENTLY`: dropping it loses nothing. */
  isReindexLeftover: boolean
}

const INVALID = `
select format('%I.%I', n.nspname, c.relname) as "index", n.nspname::text as "schema", c.relname::text as "name",
       i.indrelid::regclass::text as "table", pg_get_indexdef(c.oid) as "definition",
       c.relname ~ '_cc(new|old)[0-9]*$' as "isReindexLeftover"
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
 where not (indisvalid and indisready and indislive) and c.relkind = 'i' and n.nspname <> 'pg_catalog'
 order by 1`

/** Invalid indexes of the session's database, TOAST tables' included; a partitioned index waiting for its parts is none. */
export async function invalidIndexes(session: Client): Promise<InvalidIndex[]> {
  const { rows } = await session.query<InvalidIndex>(INVALID)
  return rows
}

/** Drops every index that is invalid now and was not `before`. */
export async function dropNewInvalidIndexes(session: Client, before: readonly string[], fence: Fence): Promise<void> {
  for (const index of await invalidIndexes(session))
    if (!before.includes(index.index)) await dropInvalidIndex(session, index, fence)
}

/** Drops an index that is still invalid, without blocking writers. A missing one is fine; a valid one throws `StateUnexpected`. */
export async function dropInvalidIndex(
  session: Client,
  index: Pick<InvalidIndex, 'schema' | 'name'>,
  fence: Fence,
): Promise<void> {
  const name = `${quoteIdentifier(index.schema)}.${quoteIdentifier(index.name)}`
  const { rows } = await session.query<{ valid: boolean }>(
    `select indisvalid and indisready and indislive as valid from pg_index where indexrelid = to_regclass($1)`,
    [name],
  )
  if (!rows[0]) return
  if (rows[0].valid) throw failure('StateUnexpected', `index ${name} is valid`)
  await fence.check()
  await session.query(`drop index concurrently if exists ${name}`)
}
