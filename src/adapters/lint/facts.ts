import type { Client } from 'pg'
import { quoteIdentifier } from '../postgres/session.js'

/** A table as the database has it now. */
export interface TableFacts {
  /** With its partitions, without indexes. */
  bytes: number
  isEmpty: boolean
  isPartitioned: boolean
  /** The columns of each unique index of all its rows. */
  keys: string[][]
  columns: Map<string, ColumnFacts>
}

export interface ColumnFacts {
  /** As `pg_type` names it. */
  type: string
  /** What stands in its parentheses: `[20]` of varchar(20). */
  modifiers: number[]
  /** Whether it is not null, or a valid check says so, already: then nothing is scanned. */
  isCheckedNotNull: boolean
}

/** What of the database decides how much a statement does. */
export interface DatabaseFacts {
  serverMajor: number
  /** By the name that was asked for; what is not there has none. */
  tables: Map<string, TableFacts>
  /** Where an index stands, by the name that was asked for. */
  indexes: Map<string, Named>
  /** Domains with a check or `not null`, by name: a new column of one rewrites its table. */
  constrainedDomains: Set<string>
  /** Functions that are volatile, or that nobody knows. */
  volatile: Set<string>
}

/** A table or function as a statement names it. */
export interface Named {
  schema: string | undefined
  name: string
}

/** As it is asked for and shown: `sales.orders`. */
export const keyOf = ({ schema, name }: Named): string => (schema === undefined ? name : `${schema}.${name}`)

const TABLE = `
select c.oid, c.relkind = 'p' as "isPartitioned",
       coalesce((select sum(pg_table_size(relid)) from pg_partition_tree(c.oid)), pg_table_size(c.oid))::text as bytes
  from pg_class c where c.oid = to_regclass($1) and c.relkind in ('r', 'p', 'm')`

const DOMAINS = `
select typname as name from pg_type t
 where typtype = 'd' and (typnotnull or exists (select from pg_constraint k where k.contypid = t.oid))`

const COLUMNS = `
select a.attname as name, t.typname as type, substring(format_type(a.atttypid, a.atttypmod) from '\\(([0-9, ]+)\\)') as modifiers,
       a.attnotnull or exists (select from pg_constraint k where k.conrelid = a.attrelid and k.contype = 'c' and k.convalidated and k.conkey = array[a.attnum]
                and pg_get_expr(k.conbin, k.conrelid) ~* '^\\(?"?[^ ]+"? is not null\\)?$') as "isCheckedNotNull"
  from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped`

const KEYS = `
select array_agg(a.attname::text) as columns
  from pg_index i cross join unnest(i.indkey::int2[]) with ordinality as k (attnum, n) join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
 where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null and k.n <= i.indnkeyatts group by i.indexrelid`

/** Behind somebody's lock, or through a table of dead rows, nobody waits: its size counts as not known. */
const ASKED_WITHIN = `set lock_timeout = '500ms'; set statement_timeout = '2s'`

/** Reads what these names stand for. A table that somebody has locked is left out, as one that is not there. */
export async function readFacts(
  session: Client,
  { tables, functions, indexes }: { tables: readonly Named[]; functions: readonly Named[]; indexes: readonly Named[] },
): Promise<DatabaseFacts> {
  await session.query(ASKED_WITHIN)
  const owners = new Map<string, Named>()
  for (const index of indexes) {
    const table = await tableOfIndex(session, index)
    if (table) owners.set(keyOf(index), table)
  }
  const found = new Map<string, TableFacts>()
  for (const table of [...tables, ...owners.values()]) {
    const facts = await tableFacts(session, table).catch(() => undefined)
    if (facts) found.set(keyOf(table), facts)
  }
  const volatile = new Set<string>()
  for (const named of functions) if (await isVolatile(session, named)) volatile.add(keyOf(named))
  const domains = await session.query<{ name: string }>(DOMAINS)
  const constrainedDomains = new Set(domains.rows.map(({ name }) => name))
  return { serverMajor: await serverMajorOf(session), tables: found, indexes: owners, constrainedDomains, volatile }
}

export async function serverMajorOf(session: Client): Promise<number> {
  const { rows } = await session.query<{ major: number }>(
    `select current_setting('server_version_num')::int / 10000 as major`,
  )
  return rows[0]?.major ?? 0
}

const inSql = ({ schema, name }: Named): string =>
  [schema, name].flatMap((part) => (part === undefined ? [] : quoteIdentifier(part))).join('.')

async function tableOfIndex(session: Client, index: Named): Promise<Named | undefined> {
  const { rows } = await session.query<{ schema: string | null; name: string }>(
    `select case when pg_table_is_visible(c.oid) then null else c.relnamespace::regnamespace::text end as schema, c.relname::text as name
       from pg_index i join pg_class c on c.oid = i.indrelid where i.indexrelid = to_regclass($1)`,
    [inSql(index)],
  )
  return rows[0] && { schema: rows[0].schema ?? undefined, name: rows[0].name }
}

async function tableFacts(session: Client, table: Named): Promise<TableFacts | undefined> {
  const as = inSql(table)
  const [found] = (await session.query<{ oid: string; isPartitioned: boolean; bytes: string }>(TABLE, [as])).rows
  if (!found) return undefined
  const columns = await session.query<{
    name: string
    type: string
    modifiers: string | null
    isCheckedNotNull: boolean
  }>(COLUMNS, [found.oid])
  const keys = await session.query<{ columns: string[] }>(KEYS, [found.oid])
  const { rowCount } = await session.query(`select from ${as} limit 1`)
  return {
    bytes: Number(found.bytes),
    isPartitioned: found.isPartitioned,
    isEmpty: rowCount === 0,
    keys: keys.rows.map(({ columns: names }) => names),
    columns: new Map(
      columns.rows.map((column) => [
        column.name,
        {
          type: column.type,
          modifiers: column.modifiers === null ? [] : column.modifiers.split(',').map(Number),
          isCheckedNotNull: column.isCheckedNotNull,
        },
      ]),
    ),
  }
}

/** A function nobody knows may be one that an earlier migration of the release makes. */
async function isVolatile(session: Client, { schema, name }: Named): Promise<boolean> {
  const { rows } = await session.query<{ volatile: boolean }>(
    `select p.provolatile = 'v' as volatile from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where p.proname = $1 and ($2::text is null or n.nspname = $2)`,
    [name, schema ?? null],
  )
  return rows.length === 0 || rows.some(({ volatile }) => volatile)
}
