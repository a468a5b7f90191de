import { afterEach, beforeEach, expect, test } from 'vitest'
import { openShop, type Shop, until, untilStatus } from './shop.js'

let shop: Shop
beforeEach(async () => {
  shop = await openShop()
  await shop.run('migrate-release-1')
})
afterEach(() => shop.close())

const acknowledged = async () => (await shop.file('acknowledged.txt')).split('\n').filter(Boolean)
const keys = async () => (await shop.rows('SELECT idempotency_key AS key FROM orders')).map(({ key }) => key)
const untilAcknowledged = (count: number) =>
  until(`${count} orders`, async () => (await acknowledged()).length >= count)

test('its file and the orders are the same after the service was killed in the middle, twice', async () => {
  let service = shop.startService('1')
  const client = shop.startClient('--rate', '200', '--concurrency', '8')
  for (const count of [100, 200]) {
    await untilAcknowledged(count)
    await service.end('SIGKILL')
    service = shop.startService('1')
  }
  await untilAcknowledged(300)
  expect(await client.end('SIGTERM')).toBe(0)

  const counts = JSON.parse(client.output())
  expect(counts).toMatchObject({ refused: 0, abandoned: 0 })
  expect(counts.retried).toBeGreaterThan(0)
  const file = await acknowledged()
  expect(counts.acknowledged).toBe(file.length)
  expect(file.sort()).toEqual((await keys()).sort())
  expect((await shop.file('topic.jsonl')).split('\n').filter(Boolean)).toHaveLength(counts.messages)
})

test('it is patient with a service that is not there yet', async () => {
  const client = shop.startClient('--rate', '50')
  await until('it publishes', async () => (await shop.file('topic.jsonl')) !== '')
  expect(await acknowledged()).toEqual([])
  shop.startService('1')
  await untilAcknowledged(5)
  expect(await client.end('SIGTERM')).toBe(0)
})

test('killed, it has told of no order that is not there', async () => {
  shop.startService('1')
  await untilStatus(`${shop.url}/orders/health`, 200)
  const client = shop.startClient('--rate', '200')
  await untilAcknowledged(30)
  await client.end('SIGKILL')
  const orders = await keys()
  expect((await acknowledged()).filter((key) => !orders.includes(key))).toEqual([])
})
