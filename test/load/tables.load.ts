import { afterEach, expect, test } from 'vitest'
import { HALF_COMMITTED, worldOf } from '../support/courses.js'
import { World } from '../support/world.js'

const TABLES = Number(process.env.TABLES ?? 10_000)
const MIGRATIONS = 500
/** Temporal warns from 10,240 events on, and ends a workflow at 51,200. */
const MOST_EVENTS = 1_000

/** In transactions of a few hundred: each table is locked until its end. */
const SCHEMA = `do $$ begin
  for i in 1..${TABLES} loop
    execute format('create table many_%s (id int primary key, what text)', i);
    execute format('insert into many_%s values (%s, ''row'')', i, i);
    if i % 200 = 0 then commit; end if;
  end loop;
end $$`

let world: World
afterEach(() => world?.end())

for (const backup of ['clone', 'dump'] as const)
  test(`${TABLES} tables: half a migration is put back from the ${backup}, and every row is as before`, async () => {
    world = await worldOf({ ...HALF_COMMITTED, backup }, { writesLate: true })
    await world.rows(SCHEMA)
    const before = await world.fingerprint()
    await world.startWorker()
    const handle = await world.start()
    const { outcome, reason, lines } = await world.ending()
    const took = lines.map(({ step, startedAt, endedAt }) => `${step} ${(endedAt ?? 0) - startedAt} ms`)
    console.log(`${outcome}: ${reason}; ${took.join(', ')}`)
    expect(outcome, reason).toBe('restored')
    expect(await world.fingerprint()).toEqual(before)
    expect((await handle.fetchHistory()).events?.length).toBeLessThan(MOST_EVENTS)
  })

test(`${MIGRATIONS} migrations in one stage: the history stays short`, async () => {
  const names = Array.from({ length: MIGRATIONS }, (_, n) => `${String(n + 2).padStart(4, '0')}_step.sql`)
  world = await World.create({
    migrations: Object.fromEntries(names.map((name, n) => [name, `create table step_${n} (id int)`])),
  })
  await world.startWorker()
  const handle = await world.start()
  const { outcome, reason } = await world.ending()
  expect(outcome, reason).toBe('succeeded')
  const { events } = await handle.fetchHistory()
  console.log(`${events?.length} events, ${JSON.stringify(events).length} bytes`)
  expect(events?.length).toBeLessThan(MOST_EVENTS)
})
