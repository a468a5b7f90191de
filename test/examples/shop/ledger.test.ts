import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withControl } from '../../support/test-database.js'
import { openShop, type Shop } from './shop.js'

const ORDER = `INSERT INTO orders (customer, item, quantity, idempotency_key, correlation_id)
  VALUES ('Ada', 'Blue Shirt', 1, $1, 'test')`

let shop: Shop
beforeEach(async () => {
  shop = await openShop()
  await shop.run('migrate-release-1')
})
afterEach(() => shop.close())

async function compare(keys: string[], ...more: string[]) {
  const file = join(shop.home, 'acknowledged.txt')
  await writeFile(file, keys.map((key) => `${key}\n`).join(''))
  return shop.run('ledger', 'compare', '--acknowledged', file, ...more)
}

/** A second database with the shop's schema and one order in it, as a swap leaves one behind. */
async function putAside(key: string): Promise<{ name: string; url: string }> {
  const name = `${shop.database.name}_q`
  await shop.session.end()
  await withControl((control) => control.query(`CREATE DATABASE "${name}" TEMPLATE "${shop.database.name}"`))
  const url = Object.assign(new URL(shop.database.url), { pathname: `/${name}` }).href
  const session = new Client({ connectionString: url })
  await session.connect()
  await session.query(ORDER, [key])
  await session.end()
  return { name, url }
}

test('an order that is in no database is named, and the exit code is 1', async () => {
  await shop.session.query(ORDER, ['there'])
  await shop.session.query(ORDER, ['never acknowledged'])
  const answer = await compare(['there', 'lost'])
  expect(answer).toMatchObject({
    code: 1,
    stdout: '2 orders acknowledged, 1 found, 1 missing\nmissing: lost\n',
  })
})

test('an order is found in the live database or in one put aside, by name or by url', async () => {
  await shop.session.query(ORDER, ['live'])
  const quarantine = await putAside('put aside')
  const { name, url } = shop.database
  const all = '2 orders acknowledged, 2 found, 0 missing\n'
  expect(await compare(['live', 'put aside'], name, quarantine.name)).toMatchObject({ code: 0, stdout: all })
  expect(await compare(['live', 'put aside'], url, quarantine.url)).toMatchObject({ code: 0, stdout: all })
  expect((await compare(['live', 'put aside', 'lost'], '--json', name, quarantine.name)).stdout).toBe(
    '{"acknowledged":3,"found":2,"missing":["lost"]}\n',
  )
})

test('a database that cannot be read is an error, not a missing order', async () => {
  expect(await compare(['one'], 'no_such_database')).toMatchObject({ code: 2, stdout: '' })
})
