import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { withDeadline } from '../../../src/adapters/process/deadline.js'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const never = (): AbortSignal => new AbortController().signal
const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)))

describe('withDeadline', () => {
  it('is over in time, though garbage was collected meanwhile', async () => {
    const over = aborted(withDeadline(never(), 300))
    for (let i = 0; i < 3; i++) {
      await pause(20)
      collectGarbage()
    }
    await expect(over).resolves.toMatchObject({ name: 'TimeoutError', message: 'not done within 300 ms' })
  })

  it('knows that its time is over, though nobody listened', async () => {
    const bounded = withDeadline(never(), 50)
    collectGarbage()
    await pause(100)
    collectGarbage()
    expect(() => bounded.throwIfAborted()).toThrow('not done within 50 ms')
  })

  it('aborts with its signal', async () => {
    const stop = new AbortController()
    const bounded = withDeadline(stop.signal, 60_000)
    const over = aborted(bounded)
    collectGarbage()
    stop.abort('taken over')
    await expect(over).resolves.toBe('taken over')
    expect(bounded.aborted).toBe(true)
  })

  it('is aborted from the beginning with a signal that is', () => {
    expect(withDeadline(AbortSignal.abort('gone'), 60_000).reason).toBe('gone')
  })

  it('takes a time that is longer than a timer can be', async () => {
    const bounded = withDeadline(never(), Number.MAX_SAFE_INTEGER)
    await pause(20)
    expect(bounded.aborted).toBe(false)
  })
})
