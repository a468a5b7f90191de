import { describe, expect, it } from 'vitest'
import { type BackupFacts, bytesNeeded, planBackups } from '../../../src/adapters/backup/plan-backups.js'

const facts: BackupFacts = {
  isSuperuser: false,
  canCreateDatabase: true,
  ownsDatabase: true,
  preparedTransactions: [],
  logicalSlots: [],
  subscriptions: [],
  sizeBytes: '1000',
  openBecause: undefined,
  hasStore: true,
}
const auto = { kind: 'auto' as const, jobs: 2 }

describe('the backups of a stage', () => {
  it('are a clone and then a dump of it where everything allows', () => {
    expect(planBackups(auto, facts)).toEqual({ kinds: ['clone', 'dump'], reasons: [] })
  })

  it('are none where the configuration says so', () => {
    expect(planBackups(false, facts)).toEqual({ kinds: [], reasons: ['no backup: the configuration says so'] })
  })

  it.each([
    [{ canCreateDatabase: false }, /may not create databases/],
    [{ ownsDatabase: false }, /does not own/],
    [{ logicalSlots: ['cdc'] }, /slots.*cdc/],
    [{ subscriptions: ['sub'] }, /subscriptions.*sub/],
    [{ preparedTransactions: ['gid'] }, /prepared transactions.*gid/],
    [{ openBecause: 'services are left running' }, /gate.*services are left running/],
  ])('have no clone with %o, and say why', (changes, reason) => {
    const planned = planBackups(auto, { ...facts, ...changes })
    expect(planned.kinds).toEqual(['dump'])
    expect(planned.reasons).toEqual([expect.stringMatching(reason)])
    expect(planBackups({ kind: 'clone', jobs: 2 }, { ...facts, ...changes }).kinds).toEqual([])
  })

  it('have none for which there is too little room', () => {
    const planned = planBackups(auto, { ...facts, dataFreeBytes: 1_099n, storeFreeBytes: 1n })
    expect(planned.kinds).toEqual([])
    expect(planned.reasons).toEqual([
      'no clone: the server`s data volume has 1099 bytes free, 1100 are needed',
      'no dump: the store has 1 bytes free, 500 are needed',
    ])
  })

  it('have no dump without a store', () => {
    const planned = planBackups(auto, { ...facts, hasStore: false })
    expect(planned).toEqual({ kinds: ['clone'], reasons: ['no dump: no store is configured (`backup.to`)'] })
  })

  it('need 1.1 times the database for a clone, 1.3 times the last dump for a dump', () => {
    expect(bytesNeeded('clone', { sizeBytes: '1000' })).toBe(1_100n)
    expect(bytesNeeded('dump', { sizeBytes: '1000', lastDumpBytes: '100' })).toBe(130n)
    expect(bytesNeeded('dump', { sizeBytes: '1000' })).toBe(500n)
  })
})
