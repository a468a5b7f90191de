import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { differences } from '../checker/snapshot.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

const EXPAND = { '0002_note.sql': 'alter table orders add column note text' }
const CONTRACT = { '0003_item.contract.sql': 'alter table orders alter column item drop not null' }
const EDITED = 'drop table orders'

/** Nobody writes, so that everything can be compared with what it was. */
async function create(migrations: WorldOptions['migrations']): Promise<void> {
  world = await World.create({ migrations, writesLate: true })
  await world.startWorker()
}

const file = (name: string): string => join(world.folder, 'releases', '2', name)
const contractStarted = (): Promise<unknown[]> =>
  world.journal('select name from {s}.runs where contract_started_at is not null')

test.each([
  ['edited', 'was edited', () => writeFile(file('0002_note.sql'), EDITED)],
  ['taken away', 'is missing', () => rm(file('0002_note.sql'))],
])(
  'a migration that is %s between plan and migrate is not run: nothing is changed, exit 4',
  async (_, words, change) => {
    await create(EXPAND)
    const before = await world.snapshot()
    await world.start()
    await world.handle.executeUpdate('hold', { args: [{ by: 'ben', now: true }] })
    await world.until(({ state }) => state === 'held')
    await change()
    await world.handle.executeUpdate('continue', { args: [{ by: 'ben' }] })
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
    expect(ending.reason).toContain(`0002_note ${words}`)
    expect(differences(before, await world.snapshot())).toEqual([])
    expect(ending.lines.find(({ step }) => step === 'migrate')).toMatchObject({ state: 'failed', note: ending.reason })
    expect(await world.journal(`select failure ->> 'code' as code from {s}.steps where step = 'migrate'`)).toEqual([
      { code: 'PlanStale' },
    ])
  },
)

test('a contract migration that is edited after its approval is not run: the release is deferred, exit 4', async () => {
  await create({ ...EXPAND, ...CONTRACT })
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  const before = await world.snapshot()
  await world.script('stop', `rm -f running; echo '${EDITED}' > ${file('0003_item.contract.sql')}`)
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'deferred', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain('0003_item was edited')
  expect(differences(before, await world.snapshot())).toEqual([])
  expect(await contractStarted()).toEqual([])
})

test('a contract migration that is edited during the wait is asked for anew, and the image of before the run stays known', async () => {
  await create({ ...EXPAND, ...CONTRACT })
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await writeFile(file('0003_item.contract.sql'), 'alter table orders alter column item set default 1')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
  const again = await world.until((state) => state.state === 'waiting' && state.digest !== digest)
  expect(again.stage).toBe(2)
  await world.handle.executeUpdate('reject', { args: [{ by: 'ben', digest: again.digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'deferred', exit: 7 })
  const [plan] = await world.journal<{ stages: { number: number }[] }>(
    `select body -> 'stages' as stages from {s}.plans join {s}.runs on digest = plan_digest`,
  )
  expect(plan?.stages.map(({ number }) => number)).toEqual([1, 2])
  expect(await world.ending(await world.start('rollback', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBe('1')
})

const approveNow = async (): Promise<void> => {
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
}

test('an expand migration that comes before the contract that waits defers the release, and its previous image stays known', async () => {
  await create({ ...EXPAND, ...CONTRACT })
  await world.start()
  await world.until(({ state }) => state === 'waiting')
  await writeFile(file('0002b_more.sql'), 'alter table orders add column more text')
  await approveNow()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'deferred', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain('other stages')
  expect(await world.ending(await world.start('rollback', {}))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBe('1')
})

test('a contract stage is not applied under another image than the one that was deployed before it', async () => {
  await create({ ...EXPAND, ...CONTRACT })
  await world.start()
  await world.until(({ state }) => state === 'waiting')
  await writeFile(join(world.folder, 'current'), '1\n')
  await approveNow()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'deferred', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain('api runs 1, not 2')
  expect(await contractStarted()).toEqual([])
})

test('where only the contract stage is left, a previous image that was brought back meanwhile ends the run', async () => {
  await create({ ...EXPAND, ...CONTRACT })
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('reject', { args: [{ by: 'ben', digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'deferred' })
  await world.start()
  expect(await world.until(({ state }) => state === 'waiting')).toMatchObject({ stage: 1 })
  await writeFile(join(world.folder, 'current'), '1\n')
  await approveNow()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'aborted', exit: 4, cause: 'guard' })
  expect(ending.reason).toContain('other stages')
  expect(await contractStarted()).toEqual([])
})

test('a service that never tells its tag does not void an approval', async () => {
  world = await World.create({ migrations: { ...EXPAND, ...CONTRACT }, writesLate: true })
  await world.script('current', 'true')
  await world.startWorker()
  await world.start()
  await approveNow()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
})
