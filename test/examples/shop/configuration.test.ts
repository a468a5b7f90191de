import { expect, test } from 'vitest'
import { readConfigurationFile, resolveEnvironment } from '../../../src/adapters/configuration/index.js'
import { readMigrations } from '../../../src/adapters/migrator/migration-folder.js'
import { SHOP } from './shop.js'

const ENV = {
  SHOP_DATABASE_URL: 'postgres://shop:secret@127.0.0.1:5432/shop',
  SHOP_HOME: '/srv/shop',
  SHOP_URL: 'http://127.0.0.1:8080',
  SHOP_CONSUMER_URL: 'http://127.0.0.1:8081',
}

test('its headgate.yaml resolves with the four variables it names', async () => {
  const source = await readConfigurationFile(`${SHOP}headgate.yaml`)
  const staging = await resolveEnvironment(source, 'staging', { env: ENV })
  expect(staging).toMatchObject({
    project: 'shop',
    url: ENV.SHOP_DATABASE_URL,
    protected: false,
    backup: { kind: 'auto', to: 'file:///srv/shop/backups' },
    consumers: { stock: { kind: 'http', pause: 'http://127.0.0.1:8081/pause' } },
    services: { api: { kind: 'command', ready: { url: 'http://127.0.0.1:8080/readyz' } } },
    approval: { before: ['contract'], requesterMayApprove: true },
  })
})

test('headgate reads the phase and the transaction of each migration as they are meant', async () => {
  const read = async (release: string) =>
    (await readMigrations(`${SHOP}releases/${release}/migrations`)).map(
      ({ version, phase, transactional }) => `${version} ${phase} ${transactional ? 'in' : 'without'} a transaction`,
    )
  const second = [
    '0001_orders expand in a transaction',
    '0002_add_sku expand in a transaction',
    '0003_drop_item contract in a transaction',
  ]
  expect(await read('1')).toEqual(second.slice(0, 1))
  expect(await read('2')).toEqual(second)
  expect(await read('3')).toEqual([...second, '0004_one_order_per_customer expand without a transaction'])
  expect(await read('4')).toEqual([...second, '0005_add_channel expand in a transaction'])
})
