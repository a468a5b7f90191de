import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openSession } from '../../../src/adapters/postgres/session.js'
import { type Target, withDatabase } from '../../../src/adapters/postgres/target.js'
import {
  captureState,
  committedXids,
  compareState,
  currentSnapshot,
  type StateComparison,
} from '../../../src/adapters/postgres/unchanged.js'
import { type PostgresServer, startPostgres } from '../../support/postgres-server.js'
import { serverTarget } from '../../support/test-database.js'

/** A cluster of our own: what others commit in theirs would be unexplained here. */
let server: PostgresServer
let target: Target
let databases = 0
let reader: Client
let writer: Client

const NOTHING: StateComparison = {
  unchanged: true,
  unexplainedXids: [],
  schemaDifferences: [],
  rewrittenTables: [],
  sequenceDifferences: [],
  newInvalidIndexes: [],
}

beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.stop())

const openControl = (): Promise<Client> =>
  openSession({ ...serverTarget(), port: server.port }, { applicationName: 'control' })

beforeEach(async () => {
  const control = await openControl()
  databases += 1
  await control.query(`create database app_${databases}`)
  await control.end()
  target = withDatabase({ ...serverTarget(), port: server.port }, `app_${databases}`)
  writer = await openSession(target, { applicationName: 'writer' })
  await writer.query(`create table orders (id serial primary key, note text); create index on orders (note);
    insert into orders (note) select 'same' from generate_series(1, 100)`)
  const reading = `reader_${target.database}`
  await writer.query(`create role ${reading} login; grant select on all tables in schema public to ${reading};
    grant select on all sequences in schema public to ${reading}`)
  reader = await openSession({ ...target, user: reading }, { applicationName: 'reader', readOnly: true })
})
afterEach(() => Promise.all([reader.end(), writer.end()]))

/** What a role with nothing but SELECT finds after `work`. */
async function after(work: () => Promise<unknown>): Promise<StateComparison> {
  const before = JSON.parse(JSON.stringify(await captureState(reader)))
  await work()
  return compareState(reader, before, new Set())
}

const xid = async (session: Client): Promise<string> =>
  (await session.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]?.xid ?? ''

test('nothing is unchanged', async () => {
  expect(await after(async () => {})).toEqual(NOTHING)
})

test('DDL and DML rolled back leave the database unchanged', async () => {
  const rolledBack = `begin; alter table orders add column extra int default random(); update orders set note = 'x';
    create table more (a int); truncate orders; rollback`
  expect(await after(() => writer.query(rolledBack))).toEqual(NOTHING)
})

test('a session killed in its transaction leaves the database unchanged', async () => {
  const work = async (): Promise<void> => {
    await writer.query(`begin; savepoint a; update orders set note = 'x'; savepoint b; delete from orders`)
    await writer.end()
  }
  const comparison = await after(work)
  expect({ ...comparison, unexplainedXids: [] }).toEqual(NOTHING)
})

test('what still runs has not committed, with its savepoints; what has, has', async () => {
  const first = await currentSnapshot(reader)
  const committed = async (): Promise<string[]> =>
    committedXids(reader, first, await currentSnapshot(reader), new Set())
  await writer.query(`begin; savepoint a; update orders set note = 'x'`)
  const other = await openSession(target, { applicationName: 'other' })
  const own = await xid(other)
  expect(await committed()).toEqual([own])
  await writer.query('commit')
  expect((await committed()).length).toBeGreaterThan(1)
  await other.end()
})

test('a sequence bumped in a transaction rolled back is the only difference', async () => {
  const comparison = await after(() => writer.query(`begin; insert into orders (note) values ('x'); rollback`))
  expect(comparison).toEqual({
    ...NOTHING,
    unchanged: false,
    sequenceDifferences: ['public.orders_id_seq: was 100 called, is 101 called'],
  })
})

test('a committed update is one unexplained id', async () => {
  const comparison = await after(() => writer.query(`update orders set note = 'x' where id = 1`))
  expect(comparison).toEqual({ ...NOTHING, unchanged: false, unexplainedXids: [expect.stringMatching(/^\d+$/)] })
})

test('committed savepoints are unexplained with their transaction', async () => {
  const work = (): Promise<unknown> =>
    writer.query(`begin; savepoint a; update orders set note = 'x'; release a; commit`)
  expect((await after(work)).unexplainedXids).toHaveLength(2)
})

test('ANALYZE takes an id, which is unexplained', async () => {
  const comparison = await after(() => writer.query('analyze orders'))
  expect(comparison).toEqual({ ...NOTHING, unchanged: false, unexplainedXids: [expect.stringMatching(/^\d+$/)] })
})

test('a commit in another database of the cluster is unexplained', async () => {
  const control = await openControl()
  const comparison = await after(() =>
    control.query(`comment on database ${target.database} is null; create temp table t ()`),
  )
  await control.end()
  expect({ ...comparison, unexplainedXids: comparison.unexplainedXids.length > 0 }).toEqual({
    ...NOTHING,
    unchanged: false,
    unexplainedXids: true,
  })
})

test('the journal`s own ids are explained, those of others between them are not', async () => {
  const own: string[] = []
  const write = async (): Promise<void> => {
    await writer.query('begin')
    own.push(await xid(writer))
    await writer.query('commit')
  }
  expect(await after(write)).toMatchObject({ unexplainedXids: own })
  const before = await captureState(reader)
  await write()
  expect(await compareState(reader, before, new Set(own))).toEqual(NOTHING)
  await writer.query('select pg_current_xact_id()')
  await write()
  const comparison = await compareState(reader, before, async () => new Set(own))
  expect(comparison).toMatchObject({ unchanged: false, unexplainedXids: [expect.any(String)] })
})

test('a transaction older than the capture counts, whether it committed or still runs', async () => {
  await writer.query('begin')
  const id = await xid(writer)
  const other = await openSession(target, { applicationName: 'other' })
  // Moves xmax beyond the running id, so that it stands in the list of running ones.
  await other.query('select pg_current_xact_id()')
  await other.end()
  const before = await captureState(reader)
  expect(before.snapshot.split(':')[2]?.split(',')).toContain(id)
  expect(await compareState(reader, before, new Set())).toMatchObject({ unchanged: false, unexplainedXids: [id] })
  await writer.query('commit')
  expect(await compareState(reader, before, new Set())).toMatchObject({ unchanged: false, unexplainedXids: [id] })
})

test('an index left invalid is named', async () => {
  const work = (): Promise<unknown> =>
    writer.query('create unique index concurrently once on orders (note)').catch(() => {})
  const comparison = await after(work)
  expect(comparison).toMatchObject({
    unchanged: false,
    newInvalidIndexes: ['public.once'],
    schemaDifferences: ['index public.once: added'],
    rewrittenTables: ['public.once'],
  })
})

test('a rewritten and a truncated table are named with their indexes', async () => {
  expect(await after(() => writer.query('truncate orders'))).toMatchObject({
    unchanged: false,
    rewrittenTables: ['public.orders', 'public.orders_note_idx', 'public.orders_pkey'],
    schemaDifferences: [],
  })
})

test('a changed object is named with what it was and is', async () => {
  expect(await after(() => writer.query('alter table orders alter column note set not null'))).toMatchObject({
    unchanged: false,
    schemaDifferences: ['column public.orders.note: was 2|text, is 2|text|not null'],
  })
})

test('a range of ids too long to look at is unexplained as a whole', async () => {
  const before = await captureState(reader)
  const [, xmax = ''] = before.snapshot.split(':')
  const long = { ...before, snapshot: `3:${BigInt(xmax) > 1_000_003n ? 3 : -1_000_001}:` }
  const { unexplainedXids } = await compareState(reader, long, new Set())
  expect(unexplainedXids).toEqual([expect.stringContaining('..')])
})
