import { Connection } from '@temporalio/client'
import { expect, test } from 'vitest'
import { temporalAddress } from './ground.js'

test('all tests of a run share one Temporal server, up when its address is told', async () => {
  const [address, again] = await Promise.all([temporalAddress(), temporalAddress()])
  expect(again).toBe(address)
  const connection = await Connection.connect({ address })
  await connection.close()
})
