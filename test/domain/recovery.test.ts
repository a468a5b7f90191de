import { describe, expect, it } from 'vitest'
import {
  DATABASE_FOUND,
  HEADED,
  IMAGE_FOUND,
  type RecoveryAction,
  recoveryFor,
  type Stranded,
} from '../../src/domain/recovery.js'

const EITHER = [true, false] as const

/** Every combination there is. */
function* all(): Generator<Stranded> {
  for (const database of DATABASE_FOUND)
    for (const image of IMAGE_FOUND)
      for (const gate of ['closed', 'open'] as const)
        for (const verified of EITHER)
          for (const contractStarted of EITHER)
            for (const deploysImage of EITHER)
              for (const restores of EITHER)
                for (const headed of HEADED)
                  for (const backup of EITHER)
                    yield { database, image, gate, verified, contractStarted, deploysImage, restores, headed, backup }
}
const decided = [...all()].map((found) => ({ found, recovery: recoveryFor(found) }))
const where = (test: (found: Stranded) => boolean) => decided.filter(({ found }) => test(found))
const actions = (some: typeof decided): Set<RecoveryAction> => new Set(some.map(({ recovery }) => recovery.do))

describe('what is done with a run that nobody carries any more, over all 2880 combinations', () => {
  it('each has an answer that says why', () => {
    expect(decided).toHaveLength(2_880)
    for (const { recovery } of decided) expect(recovery.why).not.toBe('')
  })

  it('nothing is restored, redeployed or accepted without a person', () => {
    for (const { recovery } of decided) if (recovery.automatic) expect(['resume', 'finish']).toContain(recovery.do)
  })

  it('what is done by itself lets in only where the database is proven, on an image that belongs to it', () => {
    for (const { found } of decided.filter((one) => one.recovery.automatic)) {
      expect(found.database === 'as-before' || (found.database === 'at-target' && found.verified)).toBe(true)
      expect(found.image).not.toBe('unknown')
      if (found.database === 'as-before') expect(found.image).toBe('before')
      if (found.database === 'at-target' && (found.contractStarted || found.restores) && found.deploysImage)
        expect(found.image).toBe('after')
    }
  })

  it('nothing is done by itself where a person had chosen, and nothing goes on that was going back', () => {
    for (const { found, recovery } of decided.filter((one) => one.recovery.automatic)) {
      expect(found.headed).not.toBe('by a person')
      if (found.headed === 'back') expect(recovery.do).toBe('resume')
    }
  })

  it('no image goes out by itself', () => {
    for (const { found, recovery } of decided)
      if (recovery.automatic && recovery.do === 'finish' && found.deploysImage) expect(found.image).toBe('after')
  })

  it('a restore is never proposed over the writes of others, without a backup, or after the second point of no return', () => {
    for (const { found } of decided.filter((one) => one.recovery.do === 'restore'))
      expect(found).toMatchObject({ gate: 'closed', backup: true, contractStarted: false })
  })

  it('the previous image is never proposed once a contract migration may have committed', () => {
    const contracted = where(({ contractStarted, database }) => contractStarted && database !== 'as-before')
    expect(actions(contracted)).not.toContain('redeploy')
  })

  it('a half-done migration is restored, or for a person to decide', () => {
    expect(actions(where(({ database }) => database === 'partial'))).toEqual(new Set(['restore', 'ask']))
  })

  it('an unchanged database with its image is let go', () => {
    const same = where(({ database, image }) => database === 'as-before' && image === 'before')
    expect(actions(same)).toEqual(new Set(['resume', 'accept']))
    expect(actions(same.filter(({ found }) => found.headed !== 'by a person'))).toEqual(new Set(['resume']))
  })

  it('each way out is taken somewhere', () => {
    expect(actions(decided)).toEqual(new Set(['resume', 'finish', 'restore', 'redeploy', 'accept', 'ask']))
  })
})
