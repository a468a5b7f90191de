import type { Plan, PlannedMigration } from '../../src/domain/plan.js'

export const DIGEST = '3f9a0c1d2e4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeef'

export const migration = (version: string, more: Partial<PlannedMigration> = {}): PlannedMigration => ({
  version,
  name: version.slice(5).replaceAll('_', ' '),
  phase: 'expand',
  transactional: true,
  checksum: 'c'.repeat(64),
  hasDown: false,
  sql: 'select 1',
  ...more,
})

/** Release 2 of the shop: an expand and a contract stage. */
export const planOfShop = (more: Partial<Plan> = {}): Plan => ({
  format: 1,
  project: 'shop',
  environment: 'production',
  kind: 'deploy',
  tag: '2',
  bound: { systemIdentifier: '7', database: 'shop', oid: '16384' },
  from: '0001_orders',
  applied: [{ version: '0001_orders' }],
  stages: [
    {
      number: 1,
      phase: 'expand',
      migrations: [
        migration('0002_add_sku', { hasDown: true, sql: 'ALTER TABLE orders\n  ADD COLUMN sku text;\n' }),
        migration('0003_index', { name: 'index orders by sku', transactional: false }),
      ],
      target: '0003_index',
      deploysImage: true,
      approval: false,
    },
    {
      number: 2,
      phase: 'contract',
      migrations: [migration('0004_drop_item', { phase: 'contract', sql: 'ALTER TABLE orders DROP COLUMN item;' })],
      target: '0004_drop_item',
      deploysImage: false,
      approval: true,
    },
  ],
  services: [{ name: 'api', previous: '1', next: '2' }],
  consumers: ['orders', 'stock'],
  quiesces: ['api'],
  backups: ['clone', 'dump'],
  remarks: [],
  approvers: {
    from: ['ana@example.com', 'ben@example.com'],
    count: 1,
    timeoutMs: 3 * 86_400_000,
    verified: true,
    requesterMayApprove: false,
  },
  protected: true,
  ...more,
})
