import { describe, expect, it } from 'vitest'
import { type PlannedMigration, stagesDownOf, stillToDo } from '../../src/domain/plan.js'

const migration = (version: string, phase: 'expand' | 'contract'): PlannedMigration => ({
  ...{ version, phase, name: version, transactional: true, checksum: version, hasDown: true },
})
const [E2, E3, C4, C5] = [
  migration('2', 'expand'),
  migration('3', 'expand'),
  migration('4', 'contract'),
  migration('5', 'contract'),
] as const
const stages = (undone: PlannedMigration[], deploysImage = true): unknown[] =>
  stagesDownOf(undone, { target: '1', deploysImage, approval: false }).map((stage) => [
    stage.number,
    stage.phase,
    stage.migrations.map(({ version }) => version).join(' '),
    stage.target,
    stage.deploysImage,
  ])

describe('the way down', () => {
  it('is the way up, backwards: contract, the image of then, expand', () => {
    expect(stages([C5, C4, E3, E2])).toEqual([
      [1, 'undo-contract', '5 4', '3', true],
      [2, 'undo-expand', '3 2', '1', false],
    ])
  })

  it('of expand migrations alone begins with the image of then', () => {
    expect(stages([E3, E2])).toEqual([
      [1, 'image', '', undefined, true],
      [2, 'undo-expand', '3 2', '1', false],
    ])
    expect(stages([E3, E2], false)).toEqual([[1, 'undo-expand', '3 2', '1', false]])
  })

  it('of contract migrations alone leaves the image', () => {
    expect(stages([C5, C4])).toEqual([[1, 'undo-contract', '5 4', '1', false]])
  })

  it('goes release by release: the images between are not known to run on each other`s schema', () => {
    expect(() => stages([E3, C4, E2])).toThrow('expand migration 3 was applied after contract migration 4')
  })
})

describe('what is still to be done', () => {
  const ledger = { applied: [{ version: '2' }, { version: '4' }] }
  const left = (phase: 'expand' | 'undo-expand', dirty?: string): string[] =>
    stillToDo({ phase, migrations: [E2, E3, C4] }, { ...ledger, ...(dirty === undefined ? {} : { dirty }) }).map(
      ({ version }) => version,
    )
  it('is what the ledger lacks on the way up, and what it has on the way down', () => {
    expect(left('expand')).toEqual(['3'])
    expect(left('undo-expand')).toEqual(['2', '4'])
  })
  it('has what is half done in both', () => {
    expect(left('expand', '2')).toEqual(['2', '3'])
    expect(left('undo-expand', '3')).toEqual(['2', '3', '4'])
  })
})
