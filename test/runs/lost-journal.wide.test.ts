import { afterEach, expect, test } from 'vitest'
import { HELD, untilHeld } from '../support/held-migration.js'
import { World } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** Half of it commits. */
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    update orders set item = 'half';
    ${HELD}`,
}

/** The worker dies in the middle of a migration, and then the journal and the workflow are gone. */
async function lostWhileMigrating(): Promise<string> {
  world = await World.create({ migrations: HALF })
  const worker = await world.startWorker()
  await world.start()
  const { run } = await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  await untilHeld(world.database.name)
  worker.kill('SIGKILL')
  await world.handle.terminate('as if it had never been')
  await world.journal('drop schema {s} cascade')
  await world.startWorker()
  return run
}

test('a run that the journal has lost is opened again from its backup, shown, and put back by a person', async () => {
  const run = await lostWhileMigrating()
  expect(world.consumer.state).toBe('paused')
  const nameless = await world.typed('recover', 'staging')
  expect(nameless.exit, nameless.text).toBe(1)
  expect(nameless.text).toContain(`headgate recover ${run} --from-backup`)
  // Whoever only looks opens nothing.
  const named = await world.typed('recover', run)
  expect(named.exit, named.text).toBe(1)
  expect(named.text).toContain(`headgate recover ${run} --from-backup`)
  expect(await world.journal('select name from {s}.runs')).toEqual([])

  const evidence = await world.typed('recover', run, '--from-backup')
  expect(evidence.exit, evidence.text).toBe(6)
  expect(evidence.text).toContain('what is told of it is what backup pre_migration_')
  expect(evidence.text).toContain('others may have written')
  // Nothing was decided: another run is refused meanwhile, and nothing is held to be proven.
  expect((await world.typed('deploy', 'staging', '--tag', '2')).exit).toBe(4)
  const look = await world.typed('recover', run, '--look')
  expect(look.exit, look.text).toBe(6)
  expect(look.text).toContain('what it was like before is not known')
  expect(world.consumer.state).toBe('paused')

  const restored = await world.typed('recover', run, '--restore', '--yes', '--by', 'ana')
  expect(restored.exit, restored.text).toBe(0)
  expect(restored.text).toContain('restored')
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
  await world.quiet()
  expect(await world.rows(`select key from orders where item = 'half'`)).toEqual([])
  const [quarantine = ''] = (await world.siblings()).filter((name) => name.includes('__q_'))
  expect(await world.lost([world.database.name, quarantine])).toEqual([])
  // An epoch that an older attempt has had is never had again.
  const [epoch] = await world.journal<{ epoch: string }>('select max(epoch) as epoch from {s}.epochs')
  expect(Number(epoch?.epoch)).toBeGreaterThan(1_000)
})

test('a contract stage that was approved may be finished when the journal has lost the run', async () => {
  world = await World.create({
    migrations: {
      '0002_note.sql': 'alter table orders add column note text',
      '0003_slow.contract.sql': 'select pg_sleep(8)',
    },
  })
  const worker = await world.startWorker()
  await world.start()
  const { digest, run } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  await world.until(({ step, stage }) => step === 'migrate' && stage === 2)
  worker.kill('SIGKILL')
  await world.handle.terminate('as if it had never been')
  await world.journal('drop schema {s} cascade')
  await world.startWorker()
  expect((await world.typed('recover', run, '--from-backup')).text).toContain('a contract migration may have committed')
  expect((await world.typed('recover', run, '--redeploy', '--by', 'ana')).exit).not.toBe(0)
  const finished = await world.typed('recover', run, '--finish', '--by', 'ana')
  expect(finished.exit, finished.text).toBe(0)
  expect(finished.text).toContain('succeeded')
  expect(await world.serving()).toBe('2')
  expect(await world.rows(`select version from headgate_migrations where version = '0003_slow'`)).toHaveLength(1)
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('a run that nobody has a backup of is not known', async () => {
  world = await World.create({ migrations: HALF })
  await world.startWorker()
  const answer = await world.typed('recover', 'staging-20261120-103015')
  expect(answer.exit, answer.text).toBe(1)
  expect(answer.text).toContain('there is no run staging-20261120-103015 in the journal')
})
