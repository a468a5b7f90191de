import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { targetUrl } from '../../src/adapters/postgres/target.js'
import { serverTarget } from './test-database.js'
import { World, type WorldOptions } from './world.js'

/** How long what a step waits for takes, so that it can be hit. */
const SLOW_MS = Number(process.env.SLOW_MS ?? 400)

/** What a run goes through, and how it ends when nothing disturbs it. */
export interface Course {
  /** Of the undisturbed run. */
  outcome: string
  migrations: Record<string, string>
  /** Where nothing is said: both, and the clone comes first. */
  backup?: 'clone' | 'dump'
  /** Nobody is stopped: the gate stays open. */
  isOpen?: boolean
  /** Whoever is asked rejects. */
  isRejected?: boolean
  /** A check that fails once the new image runs. */
  smokeFails?: boolean
  /** The release was deployed before, and the run takes its migrations back, down to this version. */
  downTo?: string
  serves: string
  /** Rows of the audit table at the end. */
  effects: string[]
}

export const TWO_STAGES: Course = {
  outcome: 'succeeded',
  migrations: {
    '0002_note.sql': audited('0002_note', 'alter table orders add column note text'),
    '0003_index.sql': '-- headgate:no-transaction\ncreate index concurrently orders_by_item on orders (item)',
    '0004_item.contract.sql': audited('0004_item', 'alter table orders alter column item drop not null'),
  },
  serves: '2',
  effects: ['0002_note', '0004_item'],
}

export const HALF_COMMITTED: Course = {
  outcome: 'restored',
  migrations: {
    '0002_half.sql': `-- headgate:no-transaction
      insert into audit values ('0002_half');
      update orders set item = 'half';
      create unique index concurrently on orders (item)`,
  },
  serves: '1',
  effects: [],
}

export const SMOKE_FAILS: Course = {
  outcome: 'rolled-back',
  migrations: { '0002_note.sql': audited('0002_note', 'alter table orders add column note text') },
  smokeFails: true,
  serves: '1',
  effects: ['0002_note'],
}

export const REJECTED: Course = { ...TWO_STAGES, outcome: 'deferred', isRejected: true, effects: ['0002_note'] }

/** With writers at work: what is committed stays. */
export const OPEN_GATE: Course = {
  outcome: 'rolled-back',
  migrations: {
    '0002_note.sql': audited('0002_note', 'alter table orders add column note text'),
    '0003_fails.sql': 'select 1 / 0',
  },
  isOpen: true,
  serves: '1',
  effects: ['0002_note'],
}

const EXPAND_DOWN = { note: 'alter table orders drop column note', price: 'alter table orders drop column price' }

/** The release of two stages, taken back in two: what contract migrations took, the image of then, what expand migrations brought. */
export const TAKEN_BACK: Course = {
  outcome: 'succeeded',
  migrations: {
    '0002_note.sql': 'alter table orders add column note text',
    '0002_note.down.sql': audited('0002_note', EXPAND_DOWN.note),
    '0003_price.sql': 'alter table orders add column price int',
    '0003_price.down.sql': audited('0003_price', EXPAND_DOWN.price),
    '0004_item.contract.sql': 'alter table orders alter column item drop not null',
    '0004_item.down.sql': audited('0004_item', 'alter table orders alter column item set not null'),
  },
  downTo: '0001_orders',
  serves: '1',
  effects: ['0004_item', '0003_price', '0002_note'],
}

/** One of two ways down is committed, the next one fails: the stage is put back, the image of then runs on it. */
export const DOWN_FAILS: Course = {
  ...TAKEN_BACK,
  outcome: 'deferred',
  migrations: { ...TAKEN_BACK.migrations, '0002_note.down.sql': 'select 1 / 0' },
  effects: ['0004_item'],
}

function audited(version: string, sql: string): string {
  return `insert into audit values ('${version}'); ${sql}; select pg_sleep(${SLOW_MS / 1000})`
}

/** A world in which every step of the course takes long enough to be hit. */
export async function worldOf(course: Course, options: Partial<WorldOptions> = {}): Promise<World> {
  const world = await World.create({
    migrations: course.migrations,
    schema: 'create table audit (what text not null, at timestamptz not null default clock_timestamp())',
    heartbeatMs: 2_000,
    consumerAnswersAfterMs: 100,
    ...options,
  })
  const slow = `sleep ${SLOW_MS / 1000}`
  await world.script('deploy', `${slow}; echo "$1" > current; touch running`)
  await world.script('start', `${slow}; touch running`)
  await world.script('stop', `${slow}; rm -f running`)
  await world.configure(configurationOf(course, world))
  return world
}

/** Starts what the course is of. */
export const begin = (world: World, { downTo }: Partial<Course>): Promise<unknown> =>
  downTo === undefined ? world.start() : world.start('rollback', { tag: '2', downTo })

/** What has to have happened before: of a way down, the way up. */
export async function prepared(world: World, { downTo }: Course): Promise<void> {
  if (downTo === undefined) return
  await world.start()
  const { outcome, reason } = await world.ending()
  if (outcome !== 'succeeded') throw new Error(`the release did not get there: ${reason}`)
}

/** What the course changes of a world's own configuration. */
export function configurationOf(course: Course, world: World): Record<string, unknown> {
  const sleeps = `select count(*) from pg_sleep(${SLOW_MS / 1000})`
  const healthy = { name: 'health', http: `${world.consumer.server.url}/health` }
  const nobody = { name: 'nobody home', http: 'http://127.0.0.1:4/health', within: '1s' }
  return {
    ...(course.backup ? { backup: { kind: course.backup, to: `file://${world.folder}/backups` } } : {}),
    ...(course.isOpen ? { quiesce: 'none' } : {}),
    ...(course.downTo === undefined ? {} : { approval: 'none' }),
    verify: [{ name: 'slow', sql: sleeps, expect: 1 }],
    smoke: [healthy, healthy, healthy, ...(course.smokeFails ? [nobody] : [])],
  }
}

/** One row of the journal's steps. */
export interface JournalStep {
  /** `<stage> <step>`. */
  key: string
  state: string
  ms: number
}

/** Looks at the journal's steps on a connection that stays open. */
export async function journalOf(
  world: World,
): Promise<{ steps: () => Promise<JournalStep[]>; end: () => Promise<void> }> {
  const client = await connected()
  const sql = `select stage || ' ' || step as key, state,
      (extract(epoch from coalesce(ended_at, clock_timestamp()) - started_at) * 1000)::int as ms
    from ${world.project.replaceAll('-', '_')}.steps order by id`
  return {
    // The worker makes the schema once it has started.
    steps: async () => (await client.query<JournalStep>(sql).catch(() => ({ rows: [] }))).rows,
    end: () => client.end(),
  }
}

async function connected(): Promise<Client> {
  for (;;) {
    const client = new Client({ connectionString: targetUrl(serverTarget('headgate')) })
    const isThere = await client.connect().then(
      () => true,
      () => false,
    )
    if (isThere) return client
    await pause(50)
  }
}

/** Decides as the course says when the run waits, whoever works by then. */
export async function approving(
  world: World,
  isOver: () => boolean,
  { isRejected }: Partial<Course> = {},
): Promise<void> {
  while (!isOver()) {
    const state = await world.handle.query<{ state: string; digest: string }>('state').catch(() => undefined)
    if (state?.state === 'waiting') {
      if (!isRejected) appendFileSync(join(world.folder, 'approvals.txt'), `${new Date().toISOString()}\n`)
      await world.handle
        .executeUpdate(isRejected ? 'reject' : 'approve', { args: [{ by: 'ben', digest: state.digest }] })
        .catch(() => undefined)
    }
    await pause(200)
  }
}
