import { expect, test } from 'vitest'
import { digestOf } from '../../src/activities/plan.js'
import { planOfShop } from '../cli/plan-of-shop.js'

test('a plan has the same digest whatever it remarks, and another one for another migration', () => {
  const plan = planOfShop()
  expect(digestOf({ ...plan, remarks: ['no dump: the store has 1.2 GB free'] })).toBe(digestOf(plan))
  expect(digestOf({ ...plan, stages: [] })).not.toBe(digestOf(plan))
})
