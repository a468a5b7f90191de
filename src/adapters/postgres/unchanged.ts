import type { Client } from 'pg'
import type { SchemaObject } from '../../domain/manifest.js'
import { sequenceValues } from './data-fingerprint.js'
import { invalidIndexes } from './invalid-indexes.js'
import { schemaDifferences, schemaHash, schemaObjects } from './schema-fingerprint.js'

/** What a database looked like at a moment, without its rows. Plain JSON. */
export interface StateCapture {
  /** `pg_current_snapshot()`: `xmin:xmax:running,running`. Xids are the cluster's, not the database's. */
  snapshot: string
  schemaHash: string
  objects: SchemaObject[]
  /** `schema.relation` → its file: a new one means a rewrite, a truncate or a new relation. */
  fileNodes: Record<string, string>
  sequences: Record<string, string>
  invalidIndexes: string[]
}

export interface StateComparison {
  /** Nothing in the whole cluster committed that is not ours, and schema, files and sequences are equal. */
  unchanged: boolean
  /** Ids that committed, still run, or are too old to be told; at most `LISTED`. `a..b` stands for a range too long to look at. */
  unexplainedXids: string[]
  schemaDifferences: string[]
  rewrittenTables: string[]
  sequenceDifferences: string[]
  newInvalidIndexes: string[]
}

const LISTED = 1_000
/** More ids than this are not looked at one by one: some neighbour was busy, and the proof fails anyway. */
const LONGEST_RANGE = 1_000_000n

/** Keeps the state to compare with later. The snapshot comes first: what commits during the capture is then unexplained. */
export async function captureState(session: Client): Promise<StateCapture> {
  const snapshot = await currentSnapshot(session)
  return { snapshot, ...(await readState(session)) }
}

/**
 * Compares the state now with `before`. `ownXids` are the ids of the journal's own transactions; given as a function it
 * is asked after the second snapshot, so that what the journal commits meanwhile is among them.
 */
export async function compareState(
  session: Client,
  before: StateCapture,
  ownXids: ReadonlySet<string> | (() => Promise<ReadonlySet<string>>),
): Promise<StateComparison> {
  const now = await readState(session)
  const snapshot = await currentSnapshot(session)
  const own = typeof ownXids === 'function' ? await ownXids() : ownXids
  const unexplained = await unexplainedXids(session, before.snapshot, snapshot, own)
  const comparison = {
    unexplainedXids: unexplained,
    schemaDifferences: schemaDifferences(before.objects, now.objects),
    rewrittenTables: changed(before.fileNodes, now.fileNodes),
    sequenceDifferences: changed(before.sequences, now.sequences).map(
      (name) => `${name}: was ${before.sequences[name] ?? 'absent'}, is ${now.sequences[name] ?? 'absent'}`,
    ),
    newInvalidIndexes: now.invalidIndexes.filter((index) => !before.invalidIndexes.includes(index)),
  }
  return { unchanged: Object.values(comparison).every((list) => list.length === 0), ...comparison }
}

/** `pg_current_snapshot()` as text, to ask later what has committed since. */
export async function currentSnapshot(session: Client): Promise<string> {
  const { rows } = await session.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot')
  return rows[0]?.snapshot ?? ''
}

async function readState(session: Client): Promise<Omit<StateCapture, 'snapshot'>> {
  const objects = await schemaObjects(session)
  return {
    schemaHash: schemaHash(objects),
    objects,
    fileNodes: await fileNodes(session),
    sequences: await sequenceValues(session),
    invalidIndexes: (await invalidIndexes(session)).map(({ index }) => index),
  }
}

async function fileNodes(session: Client): Promise<Record<string, string>> {
  const { rows } = await session.query<{ name: string; node: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name, c.oid || ':' || pg_relation_filenode(c.oid) as node
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and pg_relation_filenode(c.oid) is not null
      order by 1`,
  )
  return Object.fromEntries(rows.map(({ name, node }) => [name, node]))
}

/** The first snapshot's running ids and everything from its xmax to before the second's; ours and aborted ones taken out. From any session of the cluster. */
export async function unexplainedXids(
  session: Client,
  first: string,
  second: string,
  own: ReadonlySet<string>,
): Promise<string[]> {
  const [, from = '', running = ''] = first.split(':')
  const [, until = ''] = second.split(':')
  if (BigInt(until) - BigInt(from) > LONGEST_RANGE) return [`${from}..${BigInt(until) - 1n}`]
  const { rows } = await session.query<{ xid: string }>(
    `select xid::text as xid
       from (select unnest($1::text[])::bigint union all select generate_series($2::bigint, $3::bigint - 1)) ids(xid)
      where pg_xact_status(xid::text::xid8) is distinct from 'aborted' and xid::text <> all($4)
      order by ids.xid limit ${LISTED}`,
    [running === '' ? [] : running.split(','), from, until, [...own]],
  )
  return rows.map(({ xid }) => xid)
}

/** Of `unexplainedXids` those that have committed: what still runs has not happened yet. */
export async function committedXids(
  session: Client,
  first: string,
  second: string,
  own: ReadonlySet<string>,
): Promise<string[]> {
  const xids = await unexplainedXids(session, first, second, own)
  const { rows } = await session.query<{ xid: string }>(
    `select xid from unnest($1::text[]) xid where xid like '%..%' or pg_xact_status(xid::xid8) is distinct from 'in progress'`,
    [xids],
  )
  return rows.map(({ xid }) => xid)
}

const changed = (a: Record<string, string>, b: Record<string, string>): string[] =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]).sort()
