import { afterEach, beforeEach, expect, test } from 'vitest'
import { withControl } from '../../support/test-database.js'
import { openShop, placeOrder, type Shop, untilStatus } from './shop.js'

let shop: Shop
beforeEach(async () => {
  shop = await openShop()
  await shop.run('migrate-release-1')
})
afterEach(() => shop.close())

async function inspect(...args: string[]) {
  const { code, stdout, stderr } = await shop.run('inspect', ...args)
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

test('it tells the release that answers, and the orders with every value in them', async () => {
  expect(await inspect()).toMatchObject({
    release: null,
    acknowledged: 0,
    orders: { count: 0, last: 0 },
    audit: [],
    putAside: [],
  })
  shop.startService('1')
  await untilStatus(`${shop.url}/orders/health`, 200)
  await placeOrder(shop, 'one')
  const one = await inspect()
  expect(one).toMatchObject({ release: '1', orders: { count: 1, last: 1 } })
  expect(one.columns).toContain('item')
  await placeOrder(shop, 'two')
  expect((await inspect()).orders).toMatchObject({ count: 2, last: 2 })
  expect((await inspect('--orders-up-to', '1')).orders).toEqual(one.orders)
  await shop.session.query(`UPDATE orders SET quantity = quantity + 1 WHERE id = 1`)
  expect((await inspect('--orders-up-to', '1')).orders.hash).not.toBe(one.orders.hash)
})

test('it names the databases that a restore put aside, and opens the one it looks into', async () => {
  const { name } = shop.database
  const aside = `${name.slice(0, 35)}__q_261120103015_0a1b`
  await shop.session.query(`INSERT INTO orders (customer, item, quantity, idempotency_key, correlation_id)
    VALUES ('Ada', 'Blue Shirt', 1, 'put aside', 'test')`)
  await shop.session.end()
  await withControl(async (control) => {
    await control.query(`CREATE DATABASE "${aside}" TEMPLATE "${name}"`)
    await control.query(`ALTER DATABASE "${aside}" ALLOW_CONNECTIONS false`)
  })
  try {
    expect((await inspect()).putAside).toEqual([aside])
    expect((await inspect('--database', aside)).orders).toMatchObject({ count: 1 })
  } finally {
    await withControl((control) => control.query(`DROP DATABASE "${aside}" WITH (FORCE)`))
  }
})
