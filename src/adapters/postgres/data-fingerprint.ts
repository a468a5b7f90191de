import type { Client } from 'pg'
import { failure, messageOf } from '../../domain/failures.js'
import type { Fingerprint, TableRows } from '../../domain/manifest.js'
import { withPinnedSettings } from './pinned-settings.js'
import { schemaDifferences, schemaHash, schemaObjects, type Way } from './schema-fingerprint.js'
import { quoteLiteral, sqlState, whileAllowed } from './session.js'

/** Marks the rows of a materialized view in a fingerprint. */
const MATERIALIZED = 'materialized view '

export interface HashOptions {
  signal?: AbortSignal
  onTable?: (table: string, done: number, of: number) => void
}

/** Tables with rows of their own: partitions once, foreign tables never (their rows are elsewhere). */
const TABLES = `
select format('%I.%I', n.nspname, c.relname) as name, c.relkind = 'm' as materialized, c.relispopulated as populated
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'm') and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
 order by 1`

const TABLES_AT_ONCE = 200
const SEQUENCES_AT_ONCE = 200
const SEQUENCES = `
select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'S' and c.relpersistence <> 't' order by 1`

/** 262144 is INV_READ, 2 is SEEK_END. Sizes first, each descriptor closed at once. */
const LARGE_OBJECTS = `
with sized as materialized (
  select oid, (select lo_lseek64(fd, 0, 2) + 0 * lo_close(fd) from (select lo_open(m.oid, 262144) as fd offset 0) opened) as size
    from pg_largeobject_metadata m)
select oid::text as oid, encode(sha256(coalesce((
         select string_agg(sha256(lo_get(sized.oid, at, 1048576)), ''::bytea order by at)
           from generate_series(0::bigint, size - 1, 1048576) at), '')), 'hex') as hash
  from sized order by sized.oid`

/** `schema.table` → rows and hash. Throws `RightsMissing` where a table, or by row security a row, is not to be seen. */
export const tableHashes = (session: Client, options: HashOptions = {}): Promise<Record<string, TableRows>> =>
  inSnapshot(session, options.signal, () => readTables(session, 'hash', options))

/** `schema.table` → number of rows. */
export async function rowCounts(session: Client, options: HashOptions = {}): Promise<Record<string, string>> {
  const tables = await inSnapshot(session, options.signal, () => readTables(session, 'count', options))
  return Object.fromEntries(Object.entries(tables).map(([name, { rows }]) => [name, rows]))
}

/**
 * `schema.sequence` → last value, and whether it was called. Sequences are not transactional: no snapshot holds them. Each
 * lot is read within `aside`: in a transaction, `letGo`.
 */
export async function sequenceValues(
  session: Client,
  aside: (read: () => Promise<void>) => Promise<void> = (read) => read(),
): Promise<Record<string, string>> {
  const { rows } = await session.query<{ name: string }>(SEQUENCES)
  const values: [string, string][] = []
  for (let at = 0; at < rows.length; at += SEQUENCES_AT_ONCE) {
    const selects = rows
      .slice(at, at + SEQUENCES_AT_ONCE)
      .map(({ name }) => `select ${quoteLiteral(name)} as name, last_value, is_called from ${name}`)
    await aside(async () => {
      const { rows: found } = await session.query<{ name: string; value: string }>(
        `select name, last_value || case when is_called then ' called' else '' end as value from (${selects.join(' union all ')}) s`,
      )
      for (const { name, value } of found) values.push([name, value])
    })
  }
  return Object.fromEntries(values)
}

/** oid → SHA-256 over the SHA-256 of each 1 MiB: they are up to 4 TiB long. Inside a transaction. Owner and grants are in the schema. */
export async function largeObjects(session: Client): Promise<Record<string, string>> {
  const { rows } = await session.query<{ oid: string; hash: string }>(LARGE_OBJECTS)
  return Object.fromEntries(rows.map(({ oid, hash }) => [oid, hash]))
}

/** What the database looks like now, in one read-only snapshot. `rows: 'count'` leaves the hashes out. */
export async function fingerprint(
  session: Client,
  options: HashOptions & { rows: 'hash' | 'count' },
): Promise<Fingerprint> {
  return inSnapshot(session, options.signal, async () => {
    const objects = await schemaObjects(session)
    return {
      schema: schemaHash(objects),
      objects,
      tables: await readTables(session, options.rows, options),
      sequences: await sequenceValues(session, (read) => letGo(session, read)),
      largeObjects: await largeObjects(session),
    }
  })
}

/**
 * One line for a person per difference from `a` to `b`; [] when equal. By way of a dump, without what it does not carry:
 * a materialized view is filled anew there. A hash that one side does not have is not compared, a count is.
 */
export function fingerprintDifferences(a: Fingerprint, b: Fingerprint, way: Way = 'clone'): string[] {
  const carried = (tables: Record<string, TableRows>): Record<string, TableRows> =>
    Object.fromEntries(Object.entries(tables).filter(([name]) => way === 'clone' || !name.startsWith(MATERIALIZED)))
  return [
    ...schemaDifferences(a.objects, b.objects, way),
    ...differences('rows of', carried(a.tables), carried(b.tables), sameRows),
    ...differences('sequence', a.sequences, b.sequences),
    ...differences('large object', a.largeObjects, b.largeObjects),
  ]
}

const sameRows = (a: TableRows, b: TableRows): boolean =>
  a.rows === b.rows && (a.hash === undefined || b.hash === undefined || a.hash === b.hash)

function differences<T>(
  what: string,
  a: Record<string, T>,
  b: Record<string, T>,
  same: (a: T, b: T) => boolean = (x, y) => x === y,
): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort().flatMap((name) => {
    const [was, is] = [a[name], b[name]]
    if (was !== undefined && is !== undefined && same(was, is)) return []
    return [`${what} ${name}: was ${JSON.stringify(was) ?? 'absent'}, is ${JSON.stringify(is) ?? 'absent'}`]
  })
}

/** SQLSTATE insufficient_privilege, a row security policy in the way included. */
const NO_RIGHTS = '42501'

async function inSnapshot<T>(session: Client, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  return whileAllowed(session, signal, async () => {
    await session.query('begin isolation level repeatable read read only')
    try {
      return await withPinnedSettings(session, work)
    } catch (error) {
      if (sqlState(error) === NO_RIGHTS)
        throw failure('RightsMissing', `cannot read every row: ${messageOf(error)}`, error)
      throw error
    } finally {
      await session.query('rollback').catch(() => {})
    }
  })
}

async function readTables(
  session: Client,
  rows: 'hash' | 'count',
  options: HashOptions,
): Promise<Record<string, TableRows>> {
  const { rows: tables } = await session.query<{ name: string; materialized: boolean; populated: boolean }>(TABLES)
  const result: Record<string, TableRows> = {}
  for (let at = 0; at < tables.length; at += TABLES_AT_ONCE) {
    await letGo(session, async () => {
      for (const [index, { name, materialized, populated }] of tables.slice(at, at + TABLES_AT_ONCE).entries()) {
        options.signal?.throwIfAborted()
        options.onTable?.(name, at + index, tables.length)
        const key = materialized ? MATERIALIZED + name : name
        result[key] = populated ? await readTable(session, name, rows) : { rows: '0' }
      }
    })
  }
  return result
}

/**
 * What is read is locked, with its indexes, until the transaction ends, and the server has room for some thousand locks in
 * all. Rolled back to a savepoint, they are given back, and the snapshot stays.
 */
async function letGo(session: Client, read: () => Promise<void>): Promise<void> {
  await session.query('savepoint reading')
  await read()
  await session.query('rollback to savepoint reading; release savepoint reading')
}

async function readTable(session: Client, name: string, rows: 'hash' | 'count'): Promise<TableRows> {
  const hash = rows === 'hash' ? `, coalesce(sum(hashtextextended(t::text, 0)), 0)::text as hash` : ''
  const { rows: found } = await session.query<TableRows>(`select count(*)::text as rows${hash} from only ${name} t`)
  return found[0] ?? { rows: '0' }
}
