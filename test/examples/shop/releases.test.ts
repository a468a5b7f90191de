import { readdir, readFile } from 'node:fs/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMigrator } from '../../../src/adapters/migrator/index.js'
import { OpenFence } from '../../support/open-fence.js'
import { openShop, placeOrder, SHOP, type Shop, until, untilStatus } from './shop.js'

const folder = (release: string): string => `${SHOP}releases/${release}/migrations`
const sql = (release: string, version: string) => readFile(`${folder(release)}/${version}.sql`, 'utf8')

let shop: Shop
beforeEach(async () => {
  shop = await openShop()
  await shop.run('migrate-release-1')
})
afterEach(() => shop.close())

const migrator = () =>
  createMigrator(
    { kind: 'umzug', dir: folder('{tag}'), table: 'headgate_migrations' },
    { logDirectory: shop.home, secrets: [], sources: '' },
  )

/** As a run does it. */
const up = async (tag: string, ...versions: string[]) =>
  migrator().up(
    {
      tag,
      target: versions.at(-1) ?? '',
      planned: (await migrator().migrations(tag)).filter(({ version }) => versions.includes(version)),
      lockTimeoutMs: 100,
      lockBudgetMs: 60_000,
      statementTimeoutMs: 60_000,
    },
    shop.database.target,
    new OpenFence(),
  )

test('a migration is the same file in every release that has it', async () => {
  const seen = new Map<string, string>()
  for (const release of ['1', '2', '3', '4']) {
    for (const name of await readdir(folder(release))) {
      const text = await readFile(`${folder(release)}/${name}`, 'utf8')
      expect([name, seen.get(name) ?? text]).toEqual([name, text])
      seen.set(name, text)
    }
  }
  expect([...seen.keys()].sort()).toEqual([
    '0001_orders.sql',
    '0002_add_sku.sql',
    '0003_drop_item.sql',
    '0004_one_order_per_customer.sql',
    '0005_add_channel.sql',
  ])
})

test('migrating release 1 twice is once, and to headgate it is applied', async () => {
  expect(await shop.run('migrate-release-1')).toMatchObject({ code: 0, stdout: 'release 1 was applied before\n' })
  expect(await shop.rows('SELECT version, dirty FROM headgate_migrations')).toEqual([
    { version: '0001_orders', dirty: false },
  ])
  const applied = (await migrator().migrations('1')).map(({ version, name, checksum }) => ({ version, name, checksum }))
  expect(await migrator().ledger(shop.session)).toEqual({ exists: true, applied })
})

test('the migration of release 3 leaves half of its work on the orders that the client makes', async () => {
  await up('2', '0002_add_sku', '0003_drop_item')
  shop.startService('2')
  const client = shop.startClient('--rate', '100')
  await until('there are orders', async () => (await shop.rows('SELECT FROM orders')).length > 12)
  await client.end('SIGTERM')

  await expect(up('3', '0004_one_order_per_customer')).rejects.toMatchObject({
    type: 'MigrationFailed',
    message: expect.stringContaining('0004_one_order_per_customer'),
  })
  expect(await shop.rows('SELECT FROM orders WHERE half_applied IS NOT NULL')).not.toHaveLength(0)
  expect(await shop.rows('SELECT version FROM headgate_migrations WHERE dirty')).toEqual([
    { version: '0004_one_order_per_customer' },
  ])
})

test('the migration of release 4 leaves one row in the audit, and one more where it took effect again', async () => {
  await shop.migrate('2', '0002_add_sku', '0003_drop_item')
  shop.startService('4')
  await untilStatus(`${shop.url}/orders/health`, 200)
  await placeOrder(shop, 'before')
  const quick = (await sql('4', '0005_add_channel')).replaceAll('pg_sleep(1)', 'pg_sleep(0)')
  await shop.session.query(quick)
  expect(await shop.rows('SELECT migration FROM migration_audit')).toEqual([{ migration: '0005_add_channel' }])
  expect(await shop.rows('SELECT FROM orders WHERE channel IS NULL')).toEqual([])
  await shop.session.query(quick)
  expect(await shop.rows('SELECT FROM migration_audit')).toHaveLength(2)
})

test('up.mjs brings the whole shop up from an empty server, and takes it down again', async () => {
  const other = await openShop()
  const url = Object.assign(new URL(other.database.url), { pathname: `/${other.database.name}_by_hand` }).href
  const up = other.start('up', ['--rate', '50'], { SHOP_DATABASE_URL: url })
  await untilStatus(`${other.url}/readyz`, 200)
  await until('orders are acknowledged', async () => (await other.file('acknowledged.txt')) !== '')
  expect(await up.end('SIGINT')).toBe(0)
  expect(up.output()).toContain(`release 1 serves ${other.url}`)
  expect(up.output()).toContain('"abandoned":0')
  const compared = await other.run('ledger', 'compare', '--acknowledged', `${other.home}/acknowledged.txt`, url)
  expect(compared).toMatchObject({ code: 0 })
  await other.close()
})
