import { expect, test } from 'vitest'
import { stateBefore } from '../../../src/adapters/migrator/marking.js'
import { messageOf } from '../../../src/domain/failures.js'
import type { Ledger, Migration } from '../../../src/domain/migration.js'

const file = (version: string): Migration => ({
  ...{ version, name: version, phase: 'expand', transactional: true, checksum: `of ${version}`, hasDown: false },
})
const FILES = ['1', '2', '3'].map(file)
const ledger = (versions: string[], dirty?: string): Ledger => ({
  exists: true,
  applied: versions.map((version) => ({ version, checksum: `of ${version}` })),
  ...(dirty === undefined ? {} : { dirty }),
})

test.each<[string, Ledger, 'applied' | 'pending', string | undefined]>([
  ['2', ledger(['1']), 'applied', 'pending'],
  ['2', ledger(['1', '2']), 'applied', undefined],
  ['2', ledger(['1'], '2'), 'applied', 'half done'],
  [
    '2',
    { ...ledger(['1']), applied: [{ version: '1' }, { version: '2', checksum: 'other' }] },
    'applied',
    'applied from another file',
  ],
  ['2', { ...ledger([]), applied: [{ version: '1' }, { version: '2' }] }, 'applied', undefined],
  ['2', ledger(['1', '2']), 'pending', 'applied'],
  ['2', ledger(['1'], '2'), 'pending', 'half done'],
  ['2', ledger(['1']), 'pending', undefined],
  ['9', ledger(['1', '2', '9']), 'pending', 'applied'],
])('version %s of the ledger %j can be marked as %s: it was %s', (version, now, as, was) => {
  expect(stateBefore(FILES, now, { version, as })).toBe(was)
})

test.each<[string, Ledger, 'applied' | 'pending', string]>([
  ['3', ledger(['1']), 'applied', '2 comes before 3: mark that as applied first'],
  ['9', ledger(['1']), 'applied', 'the release has no migration 9'],
  ['1', ledger(['1', '2']), 'pending', '2 was applied after 1: mark that as pending first'],
  ['9', ledger(['1', '9', '2']), 'pending', '2 was applied after 9: mark that as pending first'],
])('version %s of the ledger %j cannot be marked as %s: %s', (version, now, as, why) => {
  expect(whyNot(FILES, now, { version, as })).toBe(why)
})

function whyNot(...asked: Parameters<typeof stateBefore>): string {
  try {
    stateBefore(...asked)
    return ''
  } catch (error) {
    return messageOf(error)
  }
}

/** Two branches and their merge. */
const GRAPH: Migration[] = [
  { ...file('a'), restsOn: [] },
  { ...file('c'), restsOn: ['a'] },
  { ...file('b'), restsOn: ['a'] },
  { ...file('m'), restsOn: ['b', 'c'] },
]

test.each<[string, string[], 'applied' | 'pending', string | undefined]>([
  ['b', ['a'], 'applied', 'pending'],
  ['m', ['a', 'b', 'c'], 'applied', 'pending'],
  ['c', ['a', 'c', 'b'], 'pending', 'applied'],
])('of a graph, version %s of %j can be marked as %s whatever is on other branches', (version, applied, as, was) => {
  expect(stateBefore(GRAPH, ledger(applied), { version, as })).toBe(was)
})

test.each<[string, string[], 'applied' | 'pending', string]>([
  ['m', ['a', 'b'], 'applied', 'c comes before m: mark that as applied first'],
  ['a', ['a', 'b'], 'pending', 'b was applied after a: mark that as pending first'],
])('of a graph, version %s of %j cannot be marked as %s: %s', (version, applied, as, why) => {
  expect(whyNot(GRAPH, ledger(applied), { version, as })).toBe(why)
})
