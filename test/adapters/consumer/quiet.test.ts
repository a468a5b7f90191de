import { describe, expect, it } from 'vitest'
import type { Consumer, ConsumerState } from '../../../src/adapters/consumer/port.js'
import { proveMoving, proveQuiet } from '../../../src/adapters/consumer/quiet.js'
import { failedWith, failure } from '../../../src/domain/failures.js'

const paused: ConsumerState = { state: 'paused', inFlight: 0 }
const running: ConsumerState = { state: 'running', inFlight: 0 }
type Sample = ConsumerState | Error

/** A consumer that says these things one after the other, and the last one for ever. */
function consumerThatSays(...samples: [Sample, ...Sample[]]): Consumer & { asked: number } {
  const consumer = {
    name: 'orders',
    asked: 0,
    async state() {
      const sample = samples[Math.min(consumer.asked, samples.length - 1)] ?? samples[0]
      consumer.asked += 1
      if (sample instanceof Error) throw sample
      return sample
    },
    pause: async () => {},
    resume: async () => {},
  }
  return consumer
}

const proof = (withinMs = 20_000) => ({ withinMs, signal: new AbortController().signal })
const thrownBy = (promise: Promise<unknown>) => promise.catch((error: unknown) => error)

describe('proveQuiet', () => {
  it('believes two samples in a row, never one', async () => {
    const consumer = consumerThatSays(paused)
    await expect(proveQuiet(consumer, proof())).resolves.toEqual(paused)
    expect(consumer.asked).toBe(2)
  })

  it('counts anew after a sample that is not quiet', async () => {
    const consumer = consumerThatSays(paused, running, paused, paused)
    await proveQuiet(consumer, proof())
    expect(consumer.asked).toBe(4)
  })

  it('counts anew after no answer', async () => {
    const consumer = consumerThatSays(paused, failure('ConsumerNotQuiet', 'HTTP 502'), paused, paused)
    await proveQuiet(consumer, proof())
    expect(consumer.asked).toBe(4)
  })

  it('waits for what is in flight', async () => {
    const consumer = consumerThatSays({ ...paused, inFlight: 2 }, { ...paused, inFlight: 1 }, paused)
    await proveQuiet(consumer, proof())
    expect(consumer.asked).toBe(4)
  })

  it('does not believe a paused consumer that still processes', async () => {
    const still = [1, 2, 3, 3].map((processed) => ({ ...paused, processed }))
    const consumer = consumerThatSays({ ...paused, processed: 0 }, ...still)
    await expect(proveQuiet(consumer, proof())).resolves.toEqual({ ...paused, processed: 3 })
    expect(consumer.asked).toBe(5)
  })

  it('does not believe a paused consumer that processes a message now and then', async () => {
    const consumer = consumerThatSays(paused)
    consumer.state = async () => ({ ...paused, processed: Math.floor(performance.now() / 200) })
    expect(failedWith(await thrownBy(proveQuiet(consumer, proof(2_000))), 'ConsumerNotQuiet')).toBe(true)
  })

  it('gives up with what it last saw', async () => {
    const error = await thrownBy(proveQuiet(consumerThatSays({ ...paused, inFlight: 7, lag: 3 }), proof(200)))
    expect(failedWith(error, 'ConsumerNotQuiet')).toBe(true)
    expect(String(error)).toContain('consumer orders is not quiet after 200 ms: paused, 7 in flight, lag 3')
  })

  it('gives up with why it was not answered', async () => {
    const error = await thrownBy(
      proveQuiet(consumerThatSays(failure('ConsumerNotQuiet', 'it said: hello')), proof(200)),
    )
    expect(String(error)).toContain('it said: hello')
  })

  it('gives up on a consumer that never answers', async () => {
    const silent = consumerThatSays(paused)
    silent.state = (signal?: AbortSignal) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    const error = await thrownBy(proveQuiet(silent, proof(200)))
    expect(failedWith(error, 'ConsumerNotQuiet')).toBe(true)
    expect(String(error)).toContain('no answer')
  })

  it('does not wait for a program that is missing', async () => {
    const error = await thrownBy(proveQuiet(consumerThatSays(failure('ToolMissing', 'kubectl was not found')), proof()))
    expect(failedWith(error, 'ToolMissing')).toBe(true)
  })

  it('ends with the reason of its signal', async () => {
    const stop = new AbortController()
    const proving = proveQuiet(consumerThatSays(running), { withinMs: 60_000, signal: stop.signal })
    stop.abort(failure('FenceLost', 'taken over'))
    expect(failedWith(await thrownBy(proving), 'FenceLost')).toBe(true)
  })

  it('tells each answer', async () => {
    const seen: ConsumerState[] = []
    await proveQuiet(consumerThatSays(running, paused), { ...proof(), onSample: (state) => seen.push(state) })
    expect(seen).toEqual([running, paused, paused])
  })
})

describe('proveMoving', () => {
  const at = (more: Partial<ConsumerState>): ConsumerState => ({ ...running, ...more })

  it.each<[string, ConsumerState[]]>([
    ['runs twice and tells no more', [running, running]],
    ['has no lag', [at({ lag: 0 }), at({ lag: 0 })]],
    ['has a lag that falls', [at({ lag: 10 }), at({ lag: 9 })]],
    ['has processed more, though the lag grows', [at({ lag: 10, processed: 5 }), at({ lag: 12, processed: 6 })]],
    ['has processed more', [at({ processed: 5, inFlight: 1 }), at({ processed: 6, inFlight: 1 })]],
    ['has nothing to do and tells no lag', [at({ processed: 5 }), at({ processed: 5 })]],
  ])('believes a consumer that %s', async (_, [first, ...rest]) => {
    if (!first) throw new Error('no sample')
    const consumer = consumerThatSays(first, ...rest)
    await proveMoving(consumer, proof())
    expect(consumer.asked).toBe(2)
  })

  it.each<[string, ConsumerState]>([
    ['is paused', paused],
    ['runs with a lag that stands still', at({ lag: 10 })],
    ['runs with a lag that stands still and processes nothing', at({ lag: 10, processed: 4 })],
    ['holds messages and processes nothing', at({ inFlight: 3, processed: 4 })],
  ])('does not believe a consumer that %s', async (_, state) => {
    const error = await thrownBy(proveMoving(consumerThatSays(state), proof(300)))
    expect(failedWith(error, 'ConsumerNotMoving')).toBe(true)
  })

  it('does not believe a lag that only grows', async () => {
    const growing = Array.from({ length: 20 }, (_, lag) => at({ lag: lag + 1 }))
    const error = await thrownBy(proveMoving(consumerThatSays(at({ lag: 1 }), ...growing), proof(500)))
    expect(failedWith(error, 'ConsumerNotMoving')).toBe(true)
  })
})
