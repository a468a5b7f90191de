import { once } from 'node:events'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cacheFolder } from '../../src/adapters/process/provision.js'
import { differences, type Snapshot } from '../checker/snapshot.js'
import { headgate } from '../support/command-line.js'
import { HELD, untilHeld } from '../support/held-migration.js'
import { freePort } from '../support/http-server.js'
import { World } from '../support/world.js'

const HALF = `-- headgate:no-transaction
  alter table orders add column half_applied boolean;
  ${HELD}`

let world: World
let run: string
let before: Snapshot
let nowhere: string

/** The worker's host dies in the middle of a migration that has committed a part of its work, and Temporal with it. */
beforeEach(async () => {
  nowhere = `127.0.0.1:${await freePort()}`
  world = await World.create({ migrations: { '0002_half.sql': HALF }, writesLate: true })
  const worker = await world.startWorker()
  before = await world.snapshot()
  await world.start()
  ;({ run } = await world.until(({ step }) => step === 'migrate'))
  await untilHeld(world.database.name)
  const gone = once(worker, 'exit')
  worker.kill('SIGKILL')
  await gone
})
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

const typed = (...words: string[]): ReturnType<typeof headgate> =>
  headgate(words, world.folder, { TEMPORAL_ADDRESS: nowhere, HEADGATE_CACHE: cacheFolder(), HEADGATE_USER: 'ana' })

test('a run is found in the journal, looked at, and put back, without the Temporal it was started on', async () => {
  const status = await typed('status', 'staging', '--exit-status')
  expect(status.exit).toBe(9)
  expect(status.text).toContain(`${run}: open in the journal, at migrate`)
  expect(status.text).toContain(`headgate recover ${run} --local`)

  const looked = await typed('recover', 'staging', '--local', '--look')
  expect(looked.exit).toBe(6)
  expect(looked.text).toContain('nobody else has written; choose --restore')
  expect(looked.text).toContain('add --local to what is typed next')
  expect(world.consumer.state).toBe('paused')
  const open = await typed('status', 'staging')
  expect(open.text).toContain(`${run}: open, needs-operator`)
  expect(open.text).toContain(`headgate recover ${run} --local`)
  const alone = await typed('recover', run)
  expect(alone).toMatchObject({ exit: 9 })
  expect(alone.text).toContain('add --local')

  const restored = await typed('recover', run, '--local', '--restore', '--yes')
  expect(restored.text).toContain('restored: restore, asked for by ana')
  expect(restored.exit).toBe(0)
  expect(differences(before, await world.snapshot())).toEqual([])
  // Whether another has begun since, nobody can say.
  const newest = await typed('status', 'staging', '--exit-status')
  expect(newest.text).toContain('the newest run in the journal has ended: restored')
  expect(newest.exit).toBe(9)
  expect((await typed('status', run)).text).toContain(`${run}: ended`)

  // Its Temporal comes back: the workflow that the run was taken over from does nothing more, and ends as the run did.
  await world.startWorker()
  expect(await world.ending()).toMatchObject({ outcome: 'restored' })
  expect(differences(before, await world.snapshot())).toEqual([])
})

test('elsewhere, where there is no file of a worker, Temporal is simply away; and where it answers, --local is refused', async () => {
  const empty = await headgate(['status', 'staging', '--project', world.project], '/', { TEMPORAL_ADDRESS: nowhere })
  expect(empty.exit).toBe(9)
  expect(empty.text).not.toContain('journal')
  const there = { TEMPORAL_ADDRESS: world.address }
  expect(await headgate(['recover', run, '--local'], world.folder, there)).toMatchObject({ exit: 1 })
  expect((await headgate(['recover', run, '--local'], world.folder, there)).text).toContain('leave out --local')
  await world.startWorker()
  await world.handle.cancel()
  await world.ending()
})
