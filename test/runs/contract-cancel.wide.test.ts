import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { createDatabase } from '../support/test-database.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

const EXPAND = { '0002_note.sql': 'alter table orders add column note text' }
/** Longer than a cancel takes to be heard of; what goes on to its end sleeps for less than the test's patience. */
const sleeping = (seconds: number): string =>
  `alter table orders alter column item drop not null; insert into audit values ('slept'); select pg_sleep(${seconds})`
const HALF_WAY = {
  '0003_loose.contract.sql': `-- headgate:no-transaction
    insert into audit values ('committed'); insert into audit values ('slept'); select pg_sleep(10)`,
}
const COMMITS = { '0003_audit.contract.sql': `insert into audit values ('committed')` }

async function create(options: Partial<WorldOptions>): Promise<void> {
  world = await World.create({ migrations: {}, schema: 'create table audit (what text)', ...options })
  await world.startWorker()
}

async function approve(): Promise<void> {
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
}

/** Approves, and waits until the migration sleeps. */
async function untilItSleeps(): Promise<void> {
  await approve()
  const asleep = `select from pg_stat_activity
    where datname = '${world.database.name}' and application_name like 'hg:%' and wait_event = 'PgSleep'`
  while ((await world.rows(asleep, 'postgres')).length === 0) await pause(50)
}

const cancel = (): Promise<string> => world.handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
const audit = async (): Promise<unknown[]> =>
  (await world.rows('select what from audit order by 1')).map(({ what }) => what)
/** Attempts at the contract stage, as the journal has them. */
const attempts = async (): Promise<unknown[]> =>
  (await world.journal(`select state from {s}.steps where step = 'migrate' and stage = 2 order by id`)).map(
    ({ state }) => state,
  )
const contractStarted = (): Promise<unknown[]> =>
  world.journal('select name from {s}.runs where contract_started_at is not null')
const tooLate = (): Promise<{ text: string }[]> =>
  world.journal(`select body ->> 'text' as text from {s}.events where type = 'cancel too late'`)

/** Somebody else's database on the same server, where there is always something committed. */
async function busyNeighbour(): Promise<() => Promise<void>> {
  const neighbour = new Client({ connectionString: (await createDatabase()).url })
  await neighbour.connect()
  await neighbour.query('create table busy (n int)')
  let isBusy = true
  const work = (async () => {
    while (isBusy) await neighbour.query('insert into busy values (1)').then(() => pause(20))
  })()
  return async () => {
    isBusy = false
    await work
    await neighbour.end()
  }
}

test.each([
  ['', async () => async () => {}],
  [', beside a busy neighbour', busyNeighbour],
])(
  'a cancel while the first contract statement has not committed stops it: nothing of it stays, deferred%s',
  async (_, beside) => {
    await create({ migrations: { ...EXPAND, '0003_item.contract.sql': sleeping(100) }, writesLate: true })
    const leave = await beside()
    await world.start()
    await world.until(({ state }) => state === 'waiting')
    const before = await world.snapshot()
    await untilItSleeps()
    expect(await cancel()).toContain('noted')
    const ending = await world.ending()
    await leave()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'deferred', exit: 7, reason: 'cancelled by ben' })
    expect(differences(before, await world.snapshot())).toEqual([])
    expect(await contractStarted()).toEqual([])
    expect(await world.serving()).toBe('2')
    expect(world.consumer.state).toBe('running')
  },
)

test('a "Request Cancellation" while the only stage, a contract, has not committed: aborted, everything as before', async () => {
  await create({ migrations: { '0002_item.contract.sql': sleeping(100) }, writesLate: true })
  const before = await world.snapshot()
  await world.start('migrate')
  await untilItSleeps()
  await world.handle.cancel()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 7, cause: 'person' })
  expect((await world.handle.describe()).status.name).toBe('CANCELLED')
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await contractStarted()).toEqual([])
})

const updated = async (): Promise<void> => expect(await cancel()).toContain('noted')
const requested = (): Promise<unknown> => world.handle.cancel()
const TWO = { ...COMMITS, '0004_item.contract.sql': sleeping(10) }

test.each([
  ['cancel', 'after a contract migration has committed', TWO, 'the cancel by ben', updated],
  ['"Request Cancellation"', 'after a contract migration has committed', TWO, 'a cancellation request', requested],
  ['cancel', 'in a contract migration that is half committed', HALF_WAY, 'the cancel by ben', updated],
])('a %s %s is noted as too late, and the stage is completed', async (_, __, migrations, who, ask) => {
  await create({ migrations: { ...EXPAND, ...migrations } })
  await world.start()
  await untilItSleeps()
  await ask()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect((await world.handle.describe()).status.name).toBe('COMPLETED')
  expect(ending.lines.find(({ step, stage }) => step === 'migrate' && stage === 2)?.note).toContain(
    `${who} came too late`,
  )
  expect(await tooLate()).toHaveLength(1)
  expect(await audit()).toEqual(['committed', 'slept'])
  expect(await contractStarted()).toHaveLength(1)
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('a worker that dies after it noted that a cancel came too late: the next one completes the stage', async () => {
  await create({ migrations: { ...EXPAND, ...COMMITS, '0004_item.contract.sql': sleeping(12) } })
  await world.start()
  await untilItSleeps()
  await cancel()
  while ((await tooLate()).length === 0) await pause(50)
  const [worker] = world.workers
  worker?.kill('SIGKILL')
  await Promise.all([worker && once(worker, 'exit'), world.startWorker()])
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(ending.lines.find(({ step, stage }) => step === 'migrate' && stage === 2)?.note).toContain('came too late')
  expect(await attempts()).toEqual(['intended', 'done'])
  expect(await audit()).toEqual(['committed', 'slept'])
})

test('a contract migration that commits while it is being stopped: the rest of the stage is applied', async () => {
  const clings = `// headgate:phase=contract
    import { once } from 'node:events'
    export async function up({ query }) {
      const told = once(process, 'SIGTERM')
      await query("insert into audit values ('clung')")
      await told
    }`
  await create({ migrations: { ...EXPAND, '0003_clings.mjs': clings, '0004_item.contract.sql': sleeping(8) } })
  await world.start()
  await approve()
  const clinging = `select from pg_stat_activity
    where datname = '${world.database.name}' and application_name like 'hg:%:migrate' and state = 'idle in transaction'`
  while ((await world.rows(clinging, 'postgres')).length === 0) await pause(50)
  await cancel()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(ending.lines.find(({ step, stage }) => step === 'migrate' && stage === 2)?.note).toContain('came too late')
  expect(await attempts()).toEqual(['failed', 'done'])
  expect(await audit()).toEqual(['clung', 'slept'])
  expect(await tooLate()).toHaveLength(1)
})
