import type { ChildProcess } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { Sampler } from '../support/sampler.js'
import { World, type WorldOptions } from '../support/world.js'
import { openSession } from '../../src/adapters/postgres/session.js'
import { withDatabase } from '../../src/adapters/postgres/target.js'

let world: World
afterEach(() => world?.end())

/** Slow enough to be frozen in; a second try is known by the sequence, which no rollback takes back. */
const slow = (first: number): Record<string, string> => ({
  '0002_slow.sql': `insert into audit values ('0002'); alter table orders add column note text;
    select pg_sleep(case nextval('tries') when 1 then ${first} else 3 end)`,
})

async function create(options: Partial<WorldOptions> = {}): Promise<World> {
  world = await World.create({
    migrations: slow(4),
    schema: 'create table audit (what text); create sequence tries',
    heartbeatMs: 2_000,
    ...options,
  })
  return world
}

/** Attempts at a step, as the journal has them. */
const attempts = (step: string): Promise<{ attempt: number; state: string; epoch: string }[]> =>
  world.journal(`select attempt, state, epoch from {s}.steps where step = '${step}' order by id`)

/** How many sessions are within the slow migration now. */
const migrations = async (): Promise<number> =>
  (
    await world.rows(
      `select pid from pg_stat_activity where application_name like 'hg:%' and query like '%nextval(''tries'')%' and state = 'active'`,
      'postgres',
    )
  ).length

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await pause(30)
}

/** The worker's pending attempt at a step, as the server counts. */
async function attemptStarted(): Promise<number> {
  const { raw } = await world.handle.describe()
  return raw.pendingActivities?.find(({ lastStartedTime }) => lastStartedTime)?.attempt ?? 0
}

const wake = (worker: ChildProcess): boolean => worker.kill('SIGCONT')

test('a worker frozen past its heartbeat while it migrates, and woken when another has taken over: one at work at any time, one effect', async () => {
  await create({ migrations: slow(60) })
  const first = await world.startWorker()
  const sampler = await Sampler.start(world.database)
  await world.start()
  await until(async () => (await migrations()) === 1)
  first.kill('SIGSTOP')
  await world.startWorker()
  await until(async () => (await attempts('migrate')).length > 1 && (await migrations()) === 1)
  wake(first)
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await sampler.stop(), JSON.stringify([...sampler.seen])).toBe(1)
  expect(sampler.samples).toBeGreaterThan(50)
  expect(await world.rows('select what from audit')).toEqual([{ what: '0002' }])
  const epochs = (await attempts('migrate')).map(({ epoch, state }) => ({ epoch: Number(epoch), state }))
  expect(epochs.map(({ state }) => state)).toEqual(['intended', 'done'])
  expect(epochs[1]?.epoch).toBeGreaterThan(epochs[0]?.epoch ?? 0)
  await world.quiet()
  expect(await world.lost()).toEqual([])
  expect(world.consumer.state).toBe('running')
  expect(await world.serving()).toBe('2')
})

test('a worker that wakes up with a step that others have done long ago leaves the run alone', async () => {
  await create({ consumerAnswersAfterMs: 150 })
  const first = await world.startWorker()
  const sampler = await Sampler.start(world.database)
  const received = world.consumer.server.received
  await world.start()
  await until(() => received.some(({ path }) => path === '/pause'))
  first.kill('SIGSTOP')
  // Its outstanding question for work is answered, too: with another attempt, which it will begin when it wakes.
  await until(async () => (await attemptStarted()) > 1)
  await world.startWorker()
  await until(async () => (await migrations()) === 1)
  const before = received.filter(({ path }) => path === '/pause').length
  wake(first)
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(received.filter(({ path }) => path === '/pause')).toHaveLength(before)
  expect(await attempts('migrate')).toMatchObject([{ attempt: 1, state: 'done' }])
  expect(await sampler.stop(), JSON.stringify([...sampler.seen])).toBe(1)
  expect(await world.rows('select what from audit')).toEqual([{ what: '0002' }])
  expect(world.consumer.state).toBe('running')
  expect(await world.serving()).toBe('2')
})

test.each([0, 200, 400])(
  'a worker frozen %i ms after it began to migrate does not cost the run its way back',
  async (afterMs) => {
    const half = `-- headgate:no-transaction
      update orders set item = 'half';
      create unique index concurrently on orders (item)`
    await create({ migrations: { '0002_half.sql': half }, writesLate: true })
    await world.rows(`insert into orders (key, item, written_by) values ('1', 'tea', 'ana'), ('2', 'tea', 'ana')`)
    const first = await world.startWorker()
    await world.start()
    await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
    await pause(afterMs)
    first.kill('SIGSTOP')
    await world.startWorker()
    const { outcome, reason } = await world.ending()
    wake(first)
    expect(outcome, reason).toBe('restored')
    expect(await world.rows(`select key from orders where item = 'half'`)).toEqual([])
  },
)

test('a worker frozen before it could tell of the first session of a step does not cost the run its way back', async () => {
  const half = `-- headgate:no-transaction
    update orders set item = 'half';
    create unique index concurrently on orders (item)`
  await create({ migrations: { '0002_half.sql': half }, writesLate: true })
  await world.rows(`insert into orders (key, item, written_by) values ('1', 'tea', 'ana'), ('2', 'tea', 'ana')`)
  const first = await world.startWorker()
  await world.start()
  const isDone = (step: string): Promise<boolean> =>
    attempts(step).then(
      (all) => all.some(({ state }) => state === 'done'),
      () => false,
    )
  await until(() => isDone('quiesce-writers'))
  const journal = await openSession(withDatabase(world.database.target, 'headgate'), { applicationName: 'test lock' })
  try {
    await until(() => isDone('backup'))
    // Whoever would tell of a session waits here, and is gone when the way is free.
    await journal.query(`begin; lock table ${world.project.replaceAll('-', '_')}.gate_sessions`)
    const telling = `from pg_stat_activity where query like 'insert into gate_sessions%' and wait_event_type = 'Lock'`
    await until(async () => (await world.rows(`select ${telling}`, 'postgres')).length > 0)
    first.kill('SIGSTOP')
    await world.rows(`select pg_terminate_backend(pid) ${telling}`, 'postgres')
  } finally {
    await journal.end()
  }
  await world.startWorker()
  const { outcome, reason } = await world.ending()
  wake(first)
  expect(outcome, reason).toBe('restored')
  expect(await world.rows(`select key from orders where item = 'half'`)).toEqual([])
})

test('a second run on the same database under another environment`s name is refused (exit 4) and touches nothing', async () => {
  await create({
    migrations: {
      '0002_note.sql': 'alter table orders add column note text',
      '0003_item.contract.sql': 'alter table orders alter column item drop not null',
    },
    environments: { twin: { url: '${env:TWIN_DATABASE_URL}' } },
  })
  await world.startWorker({ TWIN_DATABASE_URL: world.database.url })
  await world.start()
  const waiting = await world.until(({ state }) => state === 'waiting')
  const look = async (): Promise<unknown> => ({
    steps: await world.journal('select id, state from {s}.steps order by id'),
    runs: await world.journal('select name, state from {s}.runs'),
    steered: world.consumer.server.received.filter(({ path }) => path !== '/status').length,
    serving: await world.serving(),
    schema: (await world.fingerprint()).schema,
    oid: await world.oid(),
    databases: await world.siblings(),
  })
  const before = await look()
  const twin = await world.temporal.workflow.start('deploy', {
    workflowId: `headgate/${world.project}/twin`,
    taskQueue: `headgate-${world.project}-twin`,
    args: [{ project: world.project, environment: 'twin', requester: { by: 'ana' }, tag: '2' }],
  })
  expect(await world.ending(twin)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(await look()).toEqual(before)
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest: waiting.digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
})
