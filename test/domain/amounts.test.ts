import { expect, test } from 'vitest'
import { moment, size } from '../../src/domain/amounts.js'

test.each([
  [0, '0 B'],
  [840, '840 B'],
  [4_200, '4.2 kB'],
  [8_123_456, '8.1 MB'],
  [4e15, '4000.0 TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(size(bytes)).toBe(text)
})

test('a moment is told in UTC, as in the names of runs', () => {
  expect(moment('2026-11-20T10:30:59.999Z')).toBe('2026-11-20 10:30 UTC')
})
