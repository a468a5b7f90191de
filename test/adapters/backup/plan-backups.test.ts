import { describe, expect, it } from 'vitest'
import { type BackupFacts, planBackups } from '../../../src/adapters/backup/plan-backups.js'

const facts: BackupFacts = { sizeBytes: '1000', openBecause: undefined }
const auto = { kind: 'auto' as const, jobs: 2 }

describe('the backups of a stage', () => {
  it('are a clone and then a dump of it where everything allows', () => {
    expect(planBackups(auto, facts)).toEqual({ kinds: ['clone', 'dump'], reasons: [] })
  })

  it('are none where the configuration says so', () => {
    expect(planBackups(false, facts)).toEqual({ kinds: [], reasons: ['no backup: the configuration says so'] })
  })

  it('have no clone where the gate stays open, and say why', () => {
    const open = { ...facts, openBecause: 'api cannot be stopped' }
    expect(planBackups(auto, open)).toEqual({
      kinds: ['dump'],
      reasons: ['no clone: the gate stays open: api cannot be stopped'],
    })
    expect(planBackups({ kind: 'clone', jobs: 2 }, open).kinds).toEqual([])
  })

  it('have no dump where the store has less room than half the database', () => {
    expect(planBackups(auto, { ...facts, storeFreeBytes: 499n })).toEqual({
      kinds: ['clone'],
      reasons: ['no dump: the store has 499 B free, up to 500 B are needed'],
    })
    expect(planBackups(auto, { ...facts, storeFreeBytes: 500n }).kinds).toEqual(['clone', 'dump'])
  })
})
