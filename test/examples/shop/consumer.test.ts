import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withControl } from '../../support/test-database.js'
import { ask, openShop, type Shop, until, untilStatus } from './shop.js'

let shop: Shop
let published: number
beforeEach(async () => {
  published = 0
  shop = await openShop()
  await shop.run('migrate-release-1')
})
afterEach(() => shop.close())

async function publish(count: number): Promise<void> {
  const lines = Array.from({ length: count }, () => `{"id":"m${++published}","sku":"blue-shirt","delta":-1}\n`)
  await appendFile(join(shop.home, 'topic.jsonl'), lines.join(''))
}
const status = async () => (await ask(`${shop.consumerUrl}/status`)).body
const post = (verb: string) => ask(`${shop.consumerUrl}/${verb}`, { method: 'POST' })
const movements = async () => (await shop.rows('SELECT message_id FROM stock_movements')).length
const counted = async () => (await shop.rows('SELECT messages::int AS n FROM consumer_offsets'))[0]?.n

const untilHandled = (count: number) => until(`${count} movements`, async () => (await movements()) === count)

test('each message has its effect once, and a line still being written waits', async () => {
  shop.startConsumer()
  await publish(120)
  await appendFile(join(shop.home, 'topic.jsonl'), '{"id":"half"')
  await untilHandled(120)
  await appendFile(join(shop.home, 'topic.jsonl'), ',"sku":"blue-shirt","delta":1}\n')
  await untilHandled(121)
  expect(await counted()).toBe(121)
  expect(await status()).toEqual({ state: 'running', inFlight: 0, lag: 0, processed: 121 })
})

test('paused, nothing is in flight, no session is left and nothing is written until it is resumed', async () => {
  shop.startConsumer()
  await publish(10)
  await untilHandled(10)
  expect(await post('pause')).toMatchObject({ status: 200, body: { state: 'paused', inFlight: 0 } })

  const written = async () => (await shop.rows(`SELECT xmin::text, position, heartbeat_at FROM consumer_offsets`))[0]
  const sessions = () =>
    withControl(async (control) => {
      const name = shop.database.name
      const sql = `SELECT FROM pg_stat_activity WHERE datname = $1 AND application_name = 'shop-consumer'`
      return (await control.query(sql, [name])).rowCount
    })
  await until('its session is gone', async () => (await sessions()) === 0)
  const before = await written()
  await publish(7)
  await until('it sees them wait', async () => (await status()).lag === 7)
  await until('two heartbeats are overdue', async () => {
    expect(await status()).toMatchObject({ state: 'paused', inFlight: 0, lag: 7 })
    return (await shop.rows(`SELECT now() - heartbeat_at > '2.5 s' AS overdue FROM consumer_offsets`))[0].overdue
  })
  expect(await written()).toEqual(before)

  expect(await post('resume')).toMatchObject({ status: 200 })
  await untilHandled(17)
})

test('pausing waits for what is in flight', async () => {
  shop.startConsumer()
  await untilStatus(`${shop.consumerUrl}/status`, 200)
  await shop.session.query('BEGIN')
  await shop.session.query('LOCK stock_movements IN EXCLUSIVE MODE')
  await publish(3)
  await until('three are in flight', async () => (await status()).inFlight === 3)
  const paused = post('pause')
  for (let n = 0; n < 20; n++) expect(await status()).toMatchObject({ state: 'running', inFlight: 3 })
  await shop.session.query('COMMIT')
  expect((await paused).body).toMatchObject({ state: 'paused', inFlight: 0, lag: 0, processed: 3 })
  expect(await movements()).toBe(3)
})

test('a pause outlives a restart, and twice is once', async () => {
  const first = shop.startConsumer()
  await untilStatus(`${shop.consumerUrl}/status`, 200)
  await post('pause')
  await post('pause')
  await first.end('SIGKILL')
  await publish(1)
  shop.startConsumer()
  await untilStatus(`${shop.consumerUrl}/status`, 200)
  for (let n = 0; n < 20; n++) expect(await status()).toMatchObject({ state: 'paused' })
  expect(await movements()).toBe(0)
  await post('resume')
  await post('resume')
  await untilHandled(1)
})

test('killed in the middle, again and again, it neither loses nor doubles a message', async () => {
  for (let n = 1; n <= 5; n++) {
    const consumer = shop.startConsumer()
    await publish(400)
    await until('it is in the middle', async () => (await movements()) > (n - 1) * 400)
    await consumer.end('SIGKILL')
  }
  shop.startConsumer()
  await untilHandled(2_000)
  await until('the count agrees', async () => (await counted()) === 2_000)
})

test('it starts before the schema is there, and passes over what is no message', async () => {
  await shop.session.query('DROP TABLE stock_movements, consumer_offsets, orders, migration_audit')
  await shop.session.query('TRUNCATE headgate_migrations')
  const consumer = shop.startConsumer()
  await publish(1)
  await appendFile(join(shop.home, 'topic.jsonl'), 'nonsense\n')
  await publish(1)
  await until('it says that it will try again', () => consumer.output().includes('will try again'))
  await shop.run('migrate-release-1')
  await untilHandled(2)
  expect(await counted()).toBe(2)
  expect(await consumer.end('SIGTERM')).toBe(0)
})
