import { describe, expect, it } from 'vitest'
import { type AfterRecovery, outcomeOfRecovery } from '../../src/domain/ending.js'

const PROVEN: AfterRecovery = {
  way: 'accept',
  isSwapped: false,
  stage: 2,
  expanded: true,
  contracted: true,
  ledgerIsClean: true,
  contractStarted: true,
  mayBePartial: false,
  verified: true,
  onNewImage: true,
  onPreviousImage: false,
}
const outcome = (changes: Partial<AfterRecovery>): string => outcomeOfRecovery({ ...PROVEN, ...changes })
const PREVIOUS = { onNewImage: false, onPreviousImage: true } as const

describe('the outcome of a recovery', () => {
  it('is succeeded only at the target, verified, on the new image', () => {
    expect(outcome({})).toBe('succeeded')
    expect(outcome({ way: 'finish' })).toBe('succeeded')
    for (const lacking of [
      { verified: false },
      { ledgerIsClean: false },
      { onNewImage: false },
      { mayBePartial: true },
    ])
      expect(outcome(lacking)).toBe('needs-operator')
  })

  it('is deferred where the schema is expanded and nothing of the contract may have committed', () => {
    expect(outcome({ contracted: false, contractStarted: false })).toBe('deferred')
    expect(outcome({ contracted: false })).toBe('needs-operator')
    expect(outcome({ way: 'restore', contracted: false, contractStarted: false })).toBe('deferred')
  })

  it('is restored where the backup of the first stage was put in and the previous image runs', () => {
    const restored = {
      way: 'restore',
      stage: 1,
      expanded: false,
      contracted: false,
      contractStarted: false,
    } as const
    expect(outcome({ ...restored, ...PREVIOUS })).toBe('restored')
    expect(outcome(restored)).toBe('needs-operator')
  })

  it('is what the run would have ended with, where nothing but letting go was right', () => {
    const resumed = { way: 'resume', expanded: false, contracted: false, contractStarted: false, ...PREVIOUS } as const
    expect(outcome({ ...resumed, stage: 1 })).toBe('aborted')
    expect(outcome({ ...resumed, stage: 1, isSwapped: true })).toBe('restored')
    expect(outcome({ ...resumed, stage: 2 })).toBe('deferred')
  })

  it('is rolled-back where the previous image runs on a schema it can run on', () => {
    const back = { contracted: false, contractStarted: false, ...PREVIOUS }
    expect(outcome({ ...back, way: 'redeploy' })).toBe('rolled-back')
    expect(outcome(back)).toBe('rolled-back')
    expect(outcome({ ...back, expanded: false })).toBe('rolled-back')
    for (const lacking of [{ contractStarted: true }, { mayBePartial: true }, { onPreviousImage: false }])
      expect(outcome({ ...back, ...lacking })).toBe('needs-operator')
  })
})
