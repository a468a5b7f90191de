import type { Client } from 'pg'

/** A table as the database has it now. */
export interface TableFacts {
  /** With its partitions, without indexes. */
  bytes: number
  /** By the last count of the statistics; 0 also where nobody counted yet. */
  rows: number
  isEmpty: boolean
  columns: Map<string, ColumnFacts>
}

export interface ColumnFacts {
  /** As `pg_type` names it. */
  type: string
  /** What stands in its parentheses: `[20]` of varchar(20). */
  modifiers: number[]
  /** Whether a valid check says `is not null` already: then nothing is scanned. */
  isCheckedNotNull: boolean
}

/** What of the database decides how much a statement does. */
export interface DatabaseFacts {
  serverMajor: number
  /** By the name that was asked for; what is not there has none. */
  tables: Map<string, TableFacts>
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
select c.oid, coalesce((select sum(pg_table_size(relid)) from pg_partition_tree(c.oid)), pg_table_size(c.oid))::text as bytes,
       coalesce((select sum(greatest(p.reltuples, s.n_live_tup, 0)) from (select relid from pg_partition_tree(c.oid) union select c.oid) t
                   join pg_class p on p.oid = t.relid left join pg_stat_all_tables s on s.relid = t.relid), 0)::text as rows
  from pg_class c where c.oid = to_regclass($1) and c.relkind in ('r', 'p', 'm')`

const COLUMNS = `
select a.attname as name, t.typname as type, substring(format_type(a.atttypid, a.atttypmod) from '\\(([0-9, ]+)\\)') as modifiers,
       exists (select from pg_constraint k where k.conrelid = a.attrelid and k.contype = 'c' and k.convalidated and k.conkey = array[a.attnum]
                and pg_get_expr(k.conbin, k.conrelid) ~* '^\\(?"?[^ ]+"? is not null\\)?$') as "isCheckedNotNull"
  from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped`

/** What a table is asked for waits no longer behind somebody's lock. */
const ASKED_WITHIN = `set lock_timeout = '500ms'`

/** Reads what these names stand for. A table that somebody has locked is left out, as one that is not there. */
export async function readFacts(
  session: Client,
  { tables, functions }: { tables: readonly Named[]; functions: readonly Named[] },
): Promise<DatabaseFacts> {
  await session.query(ASKED_WITHIN)
  const { rows } = await session.query<{ major: number }>(
    `select current_setting('server_version_num')::int / 10000 as major`,
  )
  const found = new Map<string, TableFacts>()
  for (const table of tables) {
    const facts = await tableFacts(session, table).catch(() => undefined)
    if (facts) found.set(keyOf(table), facts)
  }
  const volatile = new Set<string>()
  for (const named of functions) if (await isVolatile(session, named)) volatile.add(keyOf(named))
  return { serverMajor: rows[0]?.major ?? 0, tables: found, volatile }
}

async function tableFacts(session: Client, { schema, name }: Named): Promise<TableFacts | undefined> {
  const quoted = await session.query<{ name: string }>(
    `select case when $1::text is null then quote_ident($2) else quote_ident($1) || '.' || quote_ident($2) end as name`,
    [schema ?? null, name],
  )
  const as = quoted.rows[0]?.name ?? ''
  const [table] = (await session.query<{ oid: string; bytes: string; rows: string }>(TABLE, [as])).rows
  if (!table) return undefined
  const columns = await session.query<{
    name: string
    type: string
    modifiers: string | null
    isCheckedNotNull: boolean
  }>(COLUMNS, [table.oid])
  const { rowCount } = await session.query(`select from ${as} limit 1`)
  return {
    bytes: Number(table.bytes),
    rows: Number(table.rows),
    isEmpty: rowCount === 0,
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
