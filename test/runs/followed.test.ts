import { afterEach, expect, test } from 'vitest'
import { Person, startHeadgate } from '../support/command-line.js'
import { goOn, HELD, untilHeld } from '../support/held-migration.js'
import { World } from '../support/world.js'

let world: World
afterEach(() => world?.end())

test('whoever follows a run that is cancelled is told how it ended, and leaves with 7', async () => {
  world = await World.create({
    migrations: { '0002_slow.sql': 'alter table orders add column note text; select pg_sleep(60)' },
  })
  await world.startWorker()
  const deploying = new Person(world, world.folder, 'ana').types('deploy', 'staging', '--tag', '2')
  await world.until(({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
  const cancel = await new Person(world, world.folder, 'ben').types('cancel', 'staging')
  expect(cancel).toMatchObject({ exit: 0 })
  const { exit, text } = await deploying
  expect(text).toContain('aborted: cancelled by ben')
  expect(exit).toBe(7)
})

test.each(['SIGINT', 'SIGTERM'] as const)(
  'whoever leaves by %s leaves the run alone and is told so',
  async (signal) => {
    world = await World.create({
      migrations: { '0002_held.sql': `alter table orders add column note text; ${HELD}` },
    })
    await world.startWorker()
    const env = { TEMPORAL_ADDRESS: world.address, HEADGATE_USER: 'ana' }
    const deploying = startHeadgate(['deploy', 'staging', '--tag', '2'], world.folder, env)
    await untilHeld(world.database.name)
    const { run } = await world.until(({ step }) => step === 'migrate')
    await expect.poll(deploying.text, { timeout: 60_000 }).toContain(`run ${run}`)
    expect(await deploying.stop(signal)).toBe(130)
    expect(deploying.text()).toContain(`the run goes on; to follow it: headgate watch ${run}`)
    await goOn(world.database.name)
    expect(await world.ending()).toMatchObject({ outcome: 'succeeded' })
  },
)
