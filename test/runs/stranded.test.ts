import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../support/checker.js'
import { headgate } from '../support/command-line.js'
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

/** Terminates the workflow and waits until the worker has told of it; the run's name. */
async function stranded(): Promise<string> {
  await world.handle.terminate('a person pressed the wrong button')
  for (;;) {
    const [found] = await world.journal<{ run: string }>(`select run from {s}.events where type = 'gone'`)
    if (found) return found.run
    await pause(100)
  }
}

const recovered = async (name: string, choice: string): ReturnType<World['ending']> =>
  world.ending(await world.start('recover', { recover: { run: name, choice } }))

const typed = (...words: string[]): ReturnType<typeof headgate> =>
  headgate(words, world.folder, { TEMPORAL_ADDRESS: world.address })

const SLOW = { '0002_slow.sql': 'alter table orders add column note text; select pg_sleep(60)' }
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    alter table orders add column half_applied boolean;
    select pg_sleep(60)`,
}
const TWO_STAGES = {
  '0002_note.sql': 'alter table orders add column note text',
  '0003_item.contract.sql': 'alter table orders alter column item drop not null',
}
/** Until the migration's first statement has had time to run. Asked beside the database: a session in it would open the gate. */
async function migrating(): Promise<void> {
  await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  await withControl(async (control) => {
    const asleep = `select 1 from pg_stat_activity where datname = $1 and query like '%pg_sleep(60)%' and state = 'active'`
    while ((await control.query(asleep, [world.database.name])).rowCount === 0) await pause(30)
  })
}

test('a run that was terminated while it migrated is told of within seconds, and a person lets it go', async () => {
  await run({ migrations: SLOW })
  const before = await world.snapshot()
  await world.start()
  await migrating()
  const name = await stranded()
  expect(world.consumer.state).toBe('paused')
  expect(await recovered(name, 'accept')).toMatchObject({ outcome: 'rolled-back', exit: 0 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('it leads the status whatever was refused after it, doctor names it, and no backup waits for it', async () => {
  await run({ migrations: SLOW })
  await world.start()
  await migrating()
  const name = await stranded()
  expect(await typed('deploy', 'staging', '--tag', '2')).toMatchObject({ exit: 4 })
  const status = await typed('status', 'staging', '--exit-status')
  expect(status.exit).toBe(6)
  expect(status.text).toContain(name)
  expect(status.text).toContain(`headgate recover ${name}`)
  expect((await typed('cancel', 'staging')).text).toContain(`headgate recover ${name}`)
  expect((await typed('doctor', 'staging')).text).toMatch(new RegExp(`no  open run .*${name}`))
  const backup = await typed('backup', 'staging')
  expect(backup.text).toContain(`run ${name} is open`)
  expect(backup.exit).toBe(4)
  expect(await recovered(name, 'accept')).toMatchObject({ exit: 0 })
  expect((await typed('rollback', 'staging')).exit).not.toBe(0)
  const after = await typed('status', 'staging', '--exit-status')
  expect(after.text).toContain(`${name}: ended`)
  expect(after.text).not.toContain('headgate recover')
})

test('one that had committed a part is put back when a person says so', async () => {
  await run({ migrations: HALF })
  const before = await world.snapshot()
  await world.start()
  await migrating()
  expect(await recovered(await stranded(), 'restore')).toMatchObject({ outcome: 'restored', exit: 0 })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('a run that waited for approval when it was terminated ends as deferred: its release stays', async () => {
  await run({ migrations: TWO_STAGES })
  await world.start()
  await world.until(({ state }) => state === 'waiting')
  expect(await recovered(await stranded(), 'accept')).toMatchObject({ outcome: 'deferred', exit: 0 })
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
})

test('the workflow that was taken over does nothing more, should it come back', async () => {
  await run({ migrations: SLOW })
  await world.start()
  await migrating()
  // As a person would who takes the run for dead: it is taken over while its workflow runs.
  const [open] = await world.journal<{ name: string }>(`select name from {s}.runs where state = 'open'`)
  expect(await recovered(open?.name ?? '', 'accept')).toMatchObject({ outcome: 'rolled-back', exit: 0 })
  const before = await world.snapshot()
  expect(await world.ending()).toMatchObject({ outcome: 'needs-operator' })
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(
    await world.journal(`select name from {s}.runs where state = 'ended' and outcome = 'rolled-back'`),
  ).toHaveLength(1)
})

test('who recovers the second stage with the previous image gets the one of before the run', async () => {
  await run({ migrations: TWO_STAGES })
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  expect(await world.serving()).toBe('2')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  await world.until(({ stage, step }) => stage === 2 && step === 'backup')
  expect(await recovered(await stranded(), 'redeploy')).toMatchObject({ outcome: 'rolled-back', exit: 0 })
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

test('whoever goes on with a restore that was cut off keeps what has been written since', async () => {
  await run({ migrations: {} })
  await world.start('backup', {})
  const backup = world.temporal.workflow.getHandle(`headgate/${world.project}/staging/backup`)
  expect(await world.ending(backup)).toMatchObject({ outcome: 'succeeded' })
  const [taken] = await world.journal<{ name: string }>('select name from {s}.backups')
  await world.script('start', 'touch starting; sleep 3; touch running')
  await world.start('restore', { backup: taken?.name })
  await world.until(({ step }) => step === 'restart-services')
  const name = await stranded()
  await world.script('start', 'touch running')
  await withControl((control) => control.query(`alter database "${world.database.name}" allow_connections true`))
  await world.rows(`insert into orders (key, item, written_by) values ('since', 'cake', 'somebody') returning 1 as v`)
  expect(await recovered(name, 'finish')).toMatchObject({ exit: 0 })
  expect(await world.rows(`select key from orders where key = 'since'`)).toHaveLength(1)
})

test('a restore that nobody has approved yet is not gone on with', async () => {
  const approval = { allowedSigners: '/dev/null' }
  await run({ migrations: {}, environment: { protected: true, approval } })
  await world.start('backup', {})
  const backup = world.temporal.workflow.getHandle(`headgate/${world.project}/staging/backup`)
  expect(await world.ending(backup)).toMatchObject({ outcome: 'succeeded' })
  const [taken] = await world.journal<{ name: string }>('select name from {s}.backups')
  const oid = await world.oid()
  await world.start('restore', { backup: taken?.name })
  await world.until(({ state }) => state === 'waiting')
  const name = await stranded()
  const refused = await recovered(name, 'finish')
  expect(refused).toMatchObject({ exit: 4 })
  expect(refused.reason).toContain('was not begun')
  expect(await world.oid()).toBe(oid)
  expect(await recovered(name, 'accept')).toMatchObject({ exit: 0 })
})
