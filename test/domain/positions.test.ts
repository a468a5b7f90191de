import { expect, test } from 'vitest'
import { movedBetween } from '../../src/domain/positions.js'

test('a consumer that stands where it stood has read nothing', () => {
  expect(movedBetween({ 'orders/0': '12', 'orders/1': '7' }, { 'orders/1': '7', 'orders/0': '12' })).toEqual([])
})

test('what was read, read for the first time, and forgotten is told by where it is', () => {
  expect(movedBetween({ 'orders/0': '12', 'orders/1': '7' }, { 'orders/0': '15', 'orders/2': '3' })).toEqual([
    'orders/0 from 12 to 15',
    'orders/1 from 7 to nothing',
    'orders/2 from its beginning to 3',
  ])
})

test('of a thousand partitions ten are told one by one', () => {
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`orders/${n}`, String(n)]))
  const moved = movedBetween({}, many)
  expect(moved).toHaveLength(11)
  expect(moved.at(-1)).toBe('and 990 more')
})
