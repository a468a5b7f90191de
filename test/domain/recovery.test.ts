import { describe, expect, it } from 'vitest'
import {
  DATABASE_FOUND,
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
        for (const begun of EITHER)
          for (const verified of EITHER)
            for (const contractStarted of EITHER)
              for (const deploysImage of EITHER)
                for (const backup of EITHER)
                  yield { database, image, gate, begun, verified, contractStarted, deploysImage, backup }
}
const decided = [...all()].map((found) => ({ found, recovery: recoveryFor(found) }))
const where = (test: (found: Stranded) => boolean) => decided.filter(({ found }) => test(found))
const actions = (some: typeof decided): Set<RecoveryAction> => new Set(some.map(({ recovery }) => recovery.do))

describe('what is done with a run that nobody carries any more, over all 960 combinations', () => {
  it('each has an answer that says why', () => {
    expect(decided).toHaveLength(960)
    for (const { recovery } of decided) expect(recovery.why).not.toBe('')
  })

  it('nothing is restored, redeployed or accepted without a person', () => {
    for (const { recovery } of decided) if (recovery.automatic) expect(['resume', 'finish']).toContain(recovery.do)
  })

  it('what is done by itself only lets in where the database is proven, on the image that belongs to it', () => {
    for (const { found } of decided.filter((one) => one.recovery.automatic)) {
      expect(found.database === 'as-before' || (found.database === 'at-target' && found.verified)).toBe(true)
      expect(found.image).not.toBe('other')
      if (found.deploysImage) expect(found.image).toBe(found.database === 'as-before' ? 'before' : 'after')
    }
  })

  it('a restore is never proposed over the writes of others, without a backup, or after the second point of no return', () => {
    for (const { found } of decided.filter((one) => one.recovery.do === 'restore'))
      expect(found).toMatchObject({ gate: 'closed', backup: true, contractStarted: false })
  })

  it('the previous image is never proposed on what a contract migration may have changed', () => {
    expect(
      actions(where(({ contractStarted, database }) => contractStarted && database !== 'as-before')),
    ).not.toContain('redeploy')
  })

  it('what cannot be looked at is a person`s', () => {
    expect(actions(where(({ database }) => database === 'unreachable'))).toEqual(new Set(['ask']))
  })

  it('a half-done migration is restored or a person`s', () => {
    expect(actions(where(({ database }) => database === 'partial'))).toEqual(new Set(['restore', 'ask']))
  })

  it('an unchanged database with its image is let go', () => {
    expect(actions(where(({ database, image }) => database === 'as-before' && image === 'before'))).toEqual(
      new Set(['resume']),
    )
  })

  it('each way out is somebody`s', () => {
    expect(actions(decided)).toEqual(new Set(['resume', 'finish', 'restore', 'redeploy', 'accept', 'ask']))
  })
})
