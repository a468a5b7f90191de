import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import { afterEach, expect, test } from 'vitest'
import { World } from '../support/world.js'

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

const MIGRATIONS = {
  '0002_note.sql': 'alter table orders add column note text',
  '0003_drop.contract.sql': 'alter table orders drop column item',
}

/** The build of the newest execution of the workflow. */
async function buildOf({ workflowId }: WorkflowHandle): Promise<string | null | undefined> {
  const { raw } = await world.temporal.workflow.getHandle(workflowId).describe()
  return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId
}

const untilCurrent = async (build: string): Promise<void> => {
  while (!world.output.includes(`new runs begin on build ${build}`)) await pause(50)
}

test('a run that waits for its approval is ended by the build that began it, while new runs begin on the next one', async () => {
  world = await World.create({ migrations: MIGRATIONS })
  const first = await world.startWorker({ BUILD_ID: 'one' })
  await untilCurrent('one')
  const deploy = await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.startWorker({ BUILD_ID: 'two' })
  await untilCurrent('two')

  const backup = await world.start('backup', {})
  expect((await world.ending(backup)).outcome).toBe('succeeded')
  expect(await buildOf(backup)).toBe('two')

  // Nobody else does what the first one began.
  first.kill('SIGTERM')
  await once(first, 'exit')
  const approval = deploy.executeUpdate.bind(world.handle)('approve', { args: [{ by: 'ben', digest }] })
  await pause(2_000)
  expect(await buildOf(deploy)).toBe('one')
  expect(await world.rows('select item from orders limit 1')).toHaveLength(1)
  await world.startWorker({ BUILD_ID: 'one' })
  await approval
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await buildOf(deploy)).toBe('one')
  // Which is not asked to begin new ones for that.
  const another = await world.start('backup', {})
  expect((await world.ending(another)).outcome).toBe('succeeded')
  expect(await buildOf(another)).toBe('two')
  await world.quiet()
  expect(await world.rows('select key from orders')).toHaveLength(50 + world.acknowledged.length)
})
