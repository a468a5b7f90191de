import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../support/checker.js'
import { withControl } from '../support/test-database.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

async function run(options: WorldOptions): Promise<void> {
  world = await World.create({ writesLate: true, ...options })
  await world.startWorker()
}

/** Waits until the journal's newest run has ended, or a person is needed. */
async function settled(): Promise<{ name: string; state: string; outcome: string }> {
  for (;;) {
    const [row] = await world.journal<{ name: string; state: string; outcome: string | null }>(
      'select name, state, outcome from {s}.runs order by started_at desc limit 1',
    )
    if (row?.outcome) return { ...row, outcome: row.outcome }
    await pause(100)
  }
}

const SLOW = { '0002_slow.sql': 'alter table orders add column note text; select pg_sleep(60)' }
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    alter table orders add column half_applied boolean;
    select pg_sleep(60)`,
}
const migrating = (): Promise<unknown> =>
  world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
/** Until the migration's first statement has had time to run. Asked beside the database: a session in it would open the gate. */
const sleeping = (): Promise<void> =>
  withControl(async (control) => {
    const asleep = `select 1 from pg_stat_activity where datname = $1 and query like '%pg_sleep(60)%' and state = 'active'`
    while ((await control.query(asleep, [world.database.name])).rowCount === 0) await pause(30)
  })

test('a run that was terminated while it migrated is found, proven unchanged, and let go', async () => {
  await run({ migrations: SLOW })
  const before = await world.snapshot()
  await world.start()
  await migrating()
  await sleeping()
  await world.handle.terminate('a person pressed the wrong button')
  expect(await settled()).toMatchObject({ state: 'ended', outcome: 'aborted' })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('one that had committed a part is found and proposed to be restored; nothing is restored without a person', async () => {
  await run({ migrations: HALF })
  const before = await world.snapshot()
  await world.start()
  await migrating()
  await sleeping()
  await world.handle.terminate('a person pressed the wrong button')
  const { name, ...found } = await settled()
  expect(found).toEqual({ state: 'open', outcome: 'needs-operator' })
  expect(world.consumer.state).toBe('paused')
  const [recovery] = await world.journal<{ body: { do: string } }>(
    `select body from {s}.events where type = 'recovery' order by id desc limit 1`,
  )
  expect(recovery?.body).toMatchObject({ do: 'restore', automatic: false })
  const restored = await world.start('recover', { recover: { run: name, choice: 'restore' } })
  expect(await world.ending(restored)).toMatchObject({ outcome: 'restored', exit: 0 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('a run that waits for approval and is terminated ends as deferred: its release stays', async () => {
  await run({
    migrations: {
      '0002_note.sql': 'alter table orders add column note text',
      '0003_item.contract.sql': 'alter table orders alter column item drop not null',
    },
  })
  await world.start()
  await world.until(({ state }) => state === 'waiting')
  await world.handle.terminate('a person pressed the wrong button')
  expect(await settled()).toMatchObject({ state: 'ended', outcome: 'deferred' })
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
})

test('the workflow that was taken over does nothing more, should it come back', async () => {
  await run({ migrations: SLOW })
  await world.start()
  await migrating()
  await sleeping()
  // As a person would who takes the run for dead: it is taken over while its workflow runs.
  const [open] = await world.journal<{ name: string }>(`select name from {s}.runs where state = 'open'`)
  const recovery = await world.start('recover', { recover: { run: open?.name, choice: 'automatic' } })
  expect(await world.ending(recovery)).toMatchObject({ outcome: 'aborted', exit: 0 })
  const before = await world.snapshot()
  expect(await world.ending()).toMatchObject({ outcome: 'needs-operator' })
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await world.journal(`select name from {s}.runs where state = 'ended' and outcome = 'aborted'`)).toHaveLength(1)
})

test('who recovers the second stage with the previous image gets the one of before the run', async () => {
  await run({
    migrations: {
      '0002_note.sql': 'alter table orders add column note text',
      '0003_item.contract.sql': 'alter table orders alter column item drop not null',
    },
  })
  await world.start()
  const { digest, run: name } = await world.until(({ state }) => state === 'waiting')
  expect(await world.serving()).toBe('2')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  await world.until(({ stage, step }) => stage === 2 && step === 'backup')
  await world.handle.terminate('a person pressed the wrong button')
  const recovery = await world.start('recover', { recover: { run: name, choice: 'redeploy' } })
  expect(await world.ending(recovery)).toMatchObject({ outcome: 'rolled-back', exit: 0 })
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})
