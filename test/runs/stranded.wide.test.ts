import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { restoreName } from '../../src/domain/names.js'
import { HELD, untilHeld } from '../support/held-migration.js'
import { setOpen, withControl } from '../support/test-database.js'
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

interface Settled {
  name: string
  state: 'open' | 'ended'
  outcome: string
}

/** Terminates the workflow and waits until the run has ended, or a person is needed. */
async function stranded(): Promise<Settled> {
  await world.handle.terminate('a person pressed the wrong button')
  return settled()
}

async function settled(): Promise<Settled> {
  for (;;) {
    const [row] = await world.journal<Omit<Settled, 'outcome'> & { outcome: string | null }>(
      'select name, state, outcome from {s}.runs order by started_at desc limit 1',
    )
    if (row?.outcome) return { ...row, outcome: row.outcome }
    await pause(100)
  }
}

const recovered = async (name: string, choice: string): ReturnType<World['ending']> =>
  world.ending(await world.start('recover', { recover: { run: name, choice } }))

/** As docs/recovery.md has it: its workflow lives, and may do nothing more for it. */
const takenByHand = (): Promise<unknown> =>
  world.journal(`update {s}.runs set carrier = 'by hand' where state = 'open' returning name`)

const HELD_UP = { '0002_held.sql': `alter table orders add column note text; ${HELD}` }
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    alter table orders add column half_applied boolean;
    ${HELD}`,
}
const TWO_STAGES = {
  '0002_note.sql': 'alter table orders add column note text',
  '0003_item.contract.sql': 'alter table orders alter column item drop not null',
}
/** Until the migration's first statement has run. */
async function migrating(): Promise<void> {
  await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  await untilHeld(world.database.name)
}

test('a run that was terminated while it migrated is found, proven unchanged, and let go', async () => {
  await run({ migrations: HELD_UP })
  const before = await world.snapshot()
  await world.start()
  await migrating()
  expect(await stranded()).toMatchObject({ state: 'ended', outcome: 'aborted' })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('one that had committed a part leads the status, whatever was refused after it, and is put back when a person says so', async () => {
  await run({ migrations: HALF })
  const before = await world.snapshot()
  await world.start()
  await migrating()
  const { name, ...found } = await stranded()
  expect(found).toEqual({ state: 'open', outcome: 'needs-operator' })
  expect(world.consumer.state).toBe('paused')
  expect(await world.typed('deploy', 'staging', '--tag', '2')).toMatchObject({ exit: 4 })
  const status = await world.typed('status', 'staging', '--exit-status')
  expect(status.exit).toBe(6)
  expect(status.text).toContain(`headgate recover ${name}`)
  expect(status.text).toContain('choose --restore')
  expect((await world.typed('cancel', 'staging')).text).toContain(`headgate recover ${name}`)
  expect((await world.typed('doctor', 'staging')).text).toMatch(new RegExp(`no  open run .*${name}`))
  expect((await world.typed('recover', 'staging')).text).toContain('proposed   restore: a migration is half done')
  expect(await recovered(name, 'restore')).toMatchObject({ outcome: 'restored', exit: 0 })
  expect(differences(before, await world.snapshot())).toEqual([])
  expect((await world.typed('rollback', 'staging')).exit).not.toBe(0)
  const after = await world.typed('status', 'staging', '--exit-status')
  expect(after.text).toContain(`${name}: ended`)
  expect(after.text).not.toContain('headgate recover')
})

test('a database that was brought beside and never swapped in is gone when the run is let go', async () => {
  await run({ migrations: HALF })
  await world.start()
  const { run: name } = await world.until(({ run: known }) => known !== '')
  await migrating()
  const found = await stranded()
  expect(found.state).toBe('open')
  const [{ at } = { at: new Date() }] = await world.journal<{ at: Date }>(
    `select started_at as at from {s}.runs where name = '${name}'`,
  )
  const beside = restoreName(world.database.name, at, `${name}/1`)
  await withControl((control) => control.query(`create database "${beside}"`))
  expect(await recovered(name, 'accept')).toMatchObject({ exit: 0 })
})

test('a run that waited for approval when it was terminated ends as deferred: its release stays', async () => {
  await run({ migrations: TWO_STAGES })
  await world.start()
  await world.until(({ state }) => state === 'waiting')
  expect(await stranded()).toMatchObject({ state: 'ended', outcome: 'deferred' })
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
})

test('the workflow that was taken over does nothing more, should it come back', async () => {
  await run({ migrations: HELD_UP })
  await world.start()
  await migrating()
  await takenByHand()
  const [open] = await world.journal<{ name: string }>(`select name from {s}.runs where state = 'open'`)
  expect(await recovered(open?.name ?? '', 'accept')).toMatchObject({ outcome: 'rolled-back', exit: 0 })
  const before = await world.snapshot()
  expect(await world.ending()).toMatchObject({ outcome: 'rolled-back' })
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(
    await world.journal(`select name from {s}.runs where state = 'ended' and outcome = 'rolled-back'`),
  ).toHaveLength(1)
})

test('who recovers the second stage with the previous image gets the one of before the run', async () => {
  await run({ migrations: TWO_STAGES })
  await world.start()
  const { digest, run: name } = await world.until(({ state }) => state === 'waiting')
  expect(await world.serving()).toBe('2')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  await world.until(({ stage, step }) => stage === 2 && step === 'backup')
  await takenByHand()
  expect(await recovered(name, 'redeploy')).toMatchObject({ outcome: 'rolled-back', exit: 0 })
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

test('a restore that was cut off is gone on with, and what has been written since is kept', async () => {
  await run({ migrations: {} })
  await world.start('backup', {})
  const backup = world.temporal.workflow.getHandle(`headgate/${world.project}/staging/backup`)
  expect(await world.ending(backup)).toMatchObject({ outcome: 'succeeded' })
  const [taken] = await world.journal<{ name: string }>('select name from {s}.backups')
  await world.script('start', 'touch starting; until [ -e cut-off ]; do sleep 0.02; done; touch running')
  await world.start('restore', { backup: taken?.name })
  await world.until(({ step }) => step === 'restart-services')
  await world.handle.terminate('a person pressed the wrong button')
  await world.script('start', 'touch running')
  await writeFile(join(world.folder, 'cut-off'), '')
  await setOpen(world.database.name, true)
  await world.rows(`insert into orders (key, item, written_by) values ('since', 'cake', 'somebody') returning 1 as v`)
  expect(await settled()).toMatchObject({ state: 'ended', outcome: 'succeeded' })
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
  expect(await stranded()).toMatchObject({ state: 'ended', outcome: 'aborted' })
  expect(await world.oid()).toBe(oid)
})
