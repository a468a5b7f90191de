import { expect, test } from 'vitest'
import { placesWith } from './traces.js'

test('a secret is found as it is, and as it stands in a URL', () => {
  const traces = { here: 'x pa/ss+ x', there: 'postgres://u:pa%2Fss%2B@h', nowhere: 'pa ss' }
  expect(placesWith(traces, 'pa/ss+')).toEqual(['here', 'there'])
})
