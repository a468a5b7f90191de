import { expect, test } from 'vitest'
import { plural, table } from '../../src/cli/output-words.js'
import { duration } from '../../src/domain/amounts.js'

test.each([
  [0, '0.0 s'],
  [1_234, '1.2 s'],
  [185_000, '3 min 05 s'],
  [7_800_000, '2 h 10 min'],
  [3 * 86_400_000, '3 d'],
  [3 * 86_400_000 + 4 * 3_600_000, '3 d 4 h'],
])('%d ms are %s', (ms, text) => {
  expect(duration(ms)).toBe(text)
})

test('one is one, any other number is many', () => {
  expect([0, 1, 2].map((count) => plural(count, 'migration'))).toEqual(['0 migrations', '1 migration', '2 migrations'])
})

test('a table`s columns are as wide as they must be, and nothing trails', () => {
  expect(
    table([
      ['RUN', 'OUTCOME'],
      ['staging-20261120-103015', 'aborted'],
      ['x', ''],
    ]),
  ).toEqual(['RUN                      OUTCOME', 'staging-20261120-103015  aborted', 'x'])
})
