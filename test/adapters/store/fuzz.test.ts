import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readManifest, writeManifest } from '../../../src/adapters/store/manifest-file.js'
import { failedWith } from '../../../src/domain/failures.js'
import type { Manifest } from '../../../src/domain/manifest.js'
import { planOfShop } from '../../cli/plan-of-shop.js'

const MANIFEST: Manifest = {
  ...{
    format: 1,
    name: 'pre_migration_20261120_103015-s1e1',
    kind: 'dump',
    project: 'shop',
    environment: 'production',
  },
  ...{ run: 'production-20261120-103015', stage: 1, epoch: 1, gate: 'closed', systemIdentifier: '7', database: 'shop' },
  ...{ databaseOid: '5', serverVersion: '15.18', location: 'shop/production/x', bytes: '3', ledger: ['0001_orders'] },
  files: { 'toc.dat': { bytes: 3, sha256: 'a'.repeat(64) } },
  properties: ['alter database :new owner to "we""ird"'],
  fingerprint: { schema: '', objects: [], tables: { 'public.orders': { rows: '3' } }, sequences: {}, largeObjects: {} },
  priorStates: { consumer: { '1/stock': { state: 'running' } } },
  rebuild: { plan: planOfShop(), decisions: [] },
  takenAt: '2026-11-20T10:30:15.000Z',
}
const text = new TextDecoder().decode(writeManifest(MANIFEST))

/** What a manifest file says, or that it is damaged: nothing else may come of it. */
function read(content: string): Manifest | undefined {
  try {
    return readManifest(content, 'manifest.json')
  } catch (error) {
    if (!failedWith(error, 'BackupDamaged')) throw error
    return undefined
  }
}

test('a manifest that was written is read as it was', () => {
  expect(read(text)).toEqual(MANIFEST)
})

test('a manifest with a byte more, less, or another one, is damaged or says the same', () => {
  const at = fc.nat(text.length - 1)
  fc.assert(
    fc.property(at, fc.string({ unit: 'binary', maxLength: 3 }), fc.nat(3), (from, put, cut) => {
      const found = read(text.slice(0, from) + put + text.slice(from + cut))
      if (found !== undefined) expect(found).toEqual(MANIFEST)
    }),
    { numRuns: 2_000 },
  )
})

test('whatever else stands in the file is damaged', () => {
  const content = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.json().map((json) => `{"sha256":"x","manifest":${json}}`),
  )
  fc.assert(
    fc.property(content, (some) => {
      expect(read(some)).toBeUndefined()
    }),
    { numRuns: 2_000 },
  )
})

test('a file of a million brackets is refused, not followed', () => {
  expect(read('['.repeat(1_000_000))).toBeUndefined()
  expect(read(`{"sha256":"x","manifest":${'{"rebuild":'.repeat(100_000)}`)).toBeUndefined()
})
