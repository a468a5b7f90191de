import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withControl } from '../../support/test-database.js'
import { ask, openShop, placeOrder, type Shop, until, untilStatus } from './shop.js'

let shop: Shop
beforeEach(async () => {
  shop = await openShop()
})
afterEach(() => shop.close())

async function openFor(release: string): Promise<void> {
  expect(await shop.run('migrate-release-1')).toMatchObject({ code: 0 })
  shop.startService(release)
  await untilStatus(`${shop.url}/orders/health`, 200)
}

const checkIn = (body: Record<string, unknown>, name: string): unknown =>
  Array.isArray(body.checks) ? body.checks.find((check) => check.name === name) : undefined

test('the same key is the same order, acknowledged as made once', async () => {
  await openFor('1')
  const first = await placeOrder(shop, 'key-1')
  const second = await placeOrder(shop, 'key-1')
  expect([first.status, second.status]).toEqual([201, 200])
  expect(second.body.order).toEqual(first.body.order)
  expect(await shop.rows('SELECT idempotency_key AS key FROM orders')).toEqual([{ key: 'key-1' }])
})

test('the same key at the same moment makes one order', async () => {
  await openFor('1')
  const answers = await Promise.all(Array.from({ length: 8 }, () => placeOrder(shop, 'key-1')))
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201])
  expect(await shop.rows('SELECT FROM orders')).toHaveLength(1)
})

test('a key that made another order is refused', async () => {
  await openFor('1')
  await placeOrder(shop, 'key-1')
  const headers = { 'idempotency-key': 'key-1' }
  const body = JSON.stringify({ customer: 'Ben', item: 'Blue Shirt', quantity: 2 })
  expect(await ask(`${shop.url}/orders`, { method: 'POST', headers, body })).toMatchObject({ status: 409 })
})

test('the correlation comes back in header and body, and finds the order', async () => {
  await openFor('1')
  const placed = await placeOrder(shop, 'key-1', { 'x-correlation-id': 'run-7' })
  expect(placed.headers.get('x-correlation-id')).toBe('run-7')
  expect(placed.body).toMatchObject({ correlationId: 'run-7', order: { correlationId: 'run-7' } })
  const found = await ask(`${shop.url}/orders?correlation=run-7`)
  expect(found.body.orders).toEqual([placed.body.order])
})

test('what is no order is refused', async () => {
  await openFor('1')
  const post = (body: string, headers: Record<string, string>) =>
    ask(`${shop.url}/orders`, { method: 'POST', headers, body }).then(({ status }) => status)
  expect(await post('{"customer":"Ada","item":"Blue Shirt","quantity":1}', {})).toBe(400)
  expect(await post('{"customer":"Ada","item":"Blue Shirt","quantity":0}', { 'idempotency-key': 'k' })).toBe(400)
  expect(await post('{', { 'idempotency-key': 'k' })).toBe(400)
  expect(await post('x'.repeat(100_000), { 'idempotency-key': 'k' })).toBe(413)
  expect(await ask(`${shop.url}/nothing`)).toMatchObject({ status: 404 })
})

test('it is not ready before the schema is there, and ready without a restart once it is', async () => {
  shop.startService('1')
  const before = await untilStatus(`${shop.url}/readyz`, 503)
  expect(before.body.ok).toBe(false)
  expect(checkIn(before.body, 'migrations')).toMatchObject({
    ok: false,
    detail: { current_version: null, expected_version: '0001_orders' },
  })
  expect(await placeOrder(shop, 'key-1')).toMatchObject({ status: 503 })

  await shop.run('migrate-release-1')
  shop.startConsumer()
  const after = await untilStatus(`${shop.url}/readyz`, 200)
  expect(checkIn(after.body, 'migrations')).toMatchObject({ ok: true, detail: { current_version: '0001_orders' } })
  expect(await placeOrder(shop, 'key-1')).toMatchObject({ status: 201 })
})

test('release 2 takes orders on the schema before, between and after its migrations, without a restart', async () => {
  await openFor('2')
  await placeOrder(shop, 'before')
  await shop.migrate('2', '0002_add_sku')
  await placeOrder(shop, 'between')
  expect(checkIn((await ask(`${shop.url}/readyz`)).body, 'migrations')).toMatchObject({
    ok: false,
    detail: { current_version: '0002_add_sku', expected_version: '0003_drop_item' },
  })
  await shop.migrate('2', '0003_drop_item')
  expect(await placeOrder(shop, 'after')).toMatchObject({ status: 201 })
  expect(await shop.rows('SELECT idempotency_key AS key, sku FROM orders ORDER BY id')).toEqual([
    { key: 'before', sku: 'blue-shirt' },
    { key: 'between', sku: 'blue-shirt' },
    { key: 'after', sku: 'blue-shirt' },
  ])
})

test('release 1 goes on after the expand, and acknowledges nothing once its column is dropped', async () => {
  await openFor('1')
  shop.startConsumer()
  await shop.migrate('2', '0002_add_sku')
  expect(await placeOrder(shop, 'expanded')).toMatchObject({ status: 201 })
  expect(await untilStatus(`${shop.url}/readyz`, 200)).toMatchObject({ body: { ok: true } })
  await shop.migrate('2', '0003_drop_item')
  expect(await placeOrder(shop, 'contracted')).toMatchObject({ status: 503 })
  expect(await shop.rows('SELECT idempotency_key AS key FROM orders')).toEqual([{ key: 'expanded' }])
})

test('while its sessions are ended and its database is closed or away it answers 503, and then goes on', async () => {
  await openFor('1')
  const { name } = shop.database
  await shop.session.end()
  const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`
  await withControl(async (control) => {
    await control.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`)
    await control.query(end)
    expect(await placeOrder(shop, 'closed')).toMatchObject({ status: 503 })
    await control.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS true`)
    await until('it takes orders again', async () => (await placeOrder(shop, 'closed')).status < 300)
    await control.query(end)
    await control.query(`ALTER DATABASE "${name}" RENAME TO "${name}_away"`)
    expect(await placeOrder(shop, 'away')).toMatchObject({ status: 503 })
    expect(await ask(`${shop.url}/readyz`)).toMatchObject({ status: 503 })
    await control.query(`ALTER DATABASE "${name}_away" RENAME TO "${name}"`)
  })
  await until('it takes orders again', async () => (await placeOrder(shop, 'away')).status < 300)
})

test('told to end, it answers what is under way', async () => {
  await shop.run('migrate-release-1')
  const service = shop.startService('1')
  await untilStatus(`${shop.url}/orders/health`, 200)
  await shop.session.query('BEGIN')
  await shop.session.query('LOCK orders')
  const order = placeOrder(shop, 'key-1')
  await until('the order waits for the lock', async () => {
    const waiting = await withControl((control) =>
      control.query(`SELECT FROM pg_stat_activity WHERE application_name = 'shop-api' AND wait_event_type = 'Lock'
        AND datname = '${shop.database.name}'`),
    )
    return waiting.rowCount
  })
  const ended = service.end('SIGTERM')
  await until('it takes no connections any more', () => isClosed(shop.port))
  await shop.session.query('COMMIT')
  expect(await order).toMatchObject({ status: 201 })
  expect(await ended).toBe(0)
})

const isClosed = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(true))
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
  })
