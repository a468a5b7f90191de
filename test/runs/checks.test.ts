import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { World } from '../support/world.js'

const NOTE = { '0002_note.sql': 'alter table orders add column note text' }

let world: World
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

test('a release is proven by what must be there, and by a program whose traces are taken away', async () => {
  const verify = [{ tables: ['orders'], columns: ['orders.note'], indexes: ['orders_key_key'] }]
  const smoke = [{ name: 'a test order', command: ['./bin/order', '{run}'], clean: ['./bin/remove', '{run}'] }]
  world = await World.create({ migrations: NOTE, configuration: { verify, smoke } })
  await world.script('order', 'test "$HEADGATE_TAG" = 2 && touch "order-$1"; echo "$1" >> ordered')
  await world.script('remove', 'rm "order-$1"')
  await world.startWorker()
  await world.start()
  const { outcome, run } = await world.ending()
  expect(outcome).toBe('succeeded')
  expect(existsSync(join(world.folder, 'ordered'))).toBe(true)
  expect(existsSync(join(world.folder, `order-${run}`))).toBe(false)
})

test('what is not there after the stage has it put back, behind the gate that is still proven closed', async () => {
  const verify = [{ name: 'the new columns', columns: ['orders.note', 'orders.price'] }]
  world = await World.create({ migrations: NOTE, configuration: { verify } })
  await world.startWorker()
  await world.start()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(ending.reason).toContain('the new columns: column orders.price is not there')
  expect(await world.versions()).toEqual(['0001_orders'])
  await world.quiet()
  expect(await world.lost()).toEqual([])
})

test('doctor asks the checks that only look, and names those that it leaves to a run', async () => {
  const verify = [
    { name: 'the orders', tables: ['orders'] },
    { name: 'the new columns', columns: ['orders.note'] },
  ]
  const smoke = [{ name: 'a test order', command: ['./bin/order', '{run}'] }]
  world = await World.create({ migrations: NOTE, configuration: { verify, smoke } })
  await world.script('order', 'echo "$1" >> ordered')
  await world.startWorker()
  const { exit, text } = await world.typed('doctor', 'staging', '--tag', '2')
  expect(text).toMatch(/ok {2}check the orders +\S/)
  expect(text).toMatch(/-- {2}check the new columns +column orders.note is not there/)
  expect(text).toMatch(/ok {2}check a test order +asked in a run alone: it runs a program of yours/)
  expect(exit).toBe(0)
  expect(existsSync(join(world.folder, 'ordered'))).toBe(false)
})
