import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Consumer, ConsumerState } from '../../../src/adapters/consumer/port.js'
import { proveQuiet } from '../../../src/adapters/consumer/quiet.js'
import { failedWith, failure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'

/** A real consumer that runs, and that the test can look into. */
export interface ConsumerFixture {
  consumer: Consumer
  /** Seen from outside. */
  state(): ConsumerState['state'] | Promise<ConsumerState['state']>
  close(): Promise<void>
}

/** One that tells its state in our words. */
export interface SpokenFixture extends ConsumerFixture {
  set(state: ConsumerState): void
  /** What its status says from now on instead of the truth. */
  say(text: string): void
  /** Its pause and resume fail from now on, saying `text`. */
  fail(text: string): void
}

/** Some say yes before they are done. */
const POLLED = { timeout: 60_000 }
export const SECRET = 'hunter2-secret'

/** What every kind of consumer owes. */
export function consumerContract(kind: string, make: () => Promise<ConsumerFixture>): void {
  describe(`a consumer of the kind ${kind}`, () => {
    let fixture: ConsumerFixture
    const signal = new AbortController().signal

    beforeEach(async () => {
      fixture = await make()
    })
    afterEach(() => fixture.close())

    it('is changed by nothing but pause and resume', async () => {
      expect((await fixture.consumer.state(signal)).state).toBe('running')
      await expect.poll(() => fixture.state(), POLLED).toBe('running')
    })

    it('pauses; twice is once', async () => {
      const fence = new OpenFence()
      await fixture.consumer.pause(fence)
      await fixture.consumer.pause(fence)
      await expect.poll(() => fixture.state(), POLLED).toBe('paused')
      expect(await proveQuiet(fixture.consumer, { withinMs: 60_000, signal })).toMatchObject({ state: 'paused' })
    })

    it('resumes; twice is once', async () => {
      const fence = new OpenFence()
      await fixture.consumer.pause(fence)
      await fixture.consumer.resume(fence)
      await fixture.consumer.resume(fence)
      await expect.poll(() => fixture.state(), POLLED).toBe('running')
    })

    it('asks the fence before each change, and not for its state', async () => {
      const fence = new OpenFence()
      await fixture.consumer.state(signal)
      expect(fence.checks).toBe(0)
      await fixture.consumer.pause(fence)
      expect(fence.checks).toBeGreaterThanOrEqual(1)
    })

    it('changes nothing once the fence is lost', async () => {
      const lost = new OpenFence({ signal: AbortSignal.abort(failure('FenceLost', 'a later attempt has taken over')) })
      const error = await fixture.consumer.pause(lost).catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'FenceLost')).toBe(true)
      await expect.poll(() => fixture.state(), POLLED).toBe('running')
    })

    it('stops asking when the signal aborts', async () => {
      await expect(fixture.consumer.state(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
    })
  })
}

/** As `consumerContract`, and what who speaks our words owes beside it. */
export function spokenContract(kind: string, make: (secrets: readonly string[]) => Promise<SpokenFixture>): void {
  consumerContract(kind, () => make([SECRET]))
  describe(`what a consumer of the kind ${kind} says`, () => {
    let fixture: SpokenFixture
    const signal = new AbortController().signal

    beforeEach(async () => {
      fixture = await make([SECRET])
    })
    afterEach(() => fixture.close())

    it('is its state, with lag and progress where it knows them', async () => {
      fixture.set({ state: 'running', inFlight: 3, lag: 12, processed: 400 })
      expect(await fixture.consumer.state(signal)).toEqual({ state: 'running', inFlight: 3, lag: 12, processed: 400 })
      fixture.set({ state: 'paused', inFlight: 0 })
      expect(await fixture.consumer.state(signal)).toEqual({ state: 'paused', inFlight: 0 })
    })

    it.each([
      ['nothing at all', ''],
      ['no JSON', 'all good'],
      ['an unknown state', '{"state":"stopped","inFlight":0}'],
      ['no number in flight', '{"state":"paused"}'],
      ['a negative number in flight', '{"state":"paused","inFlight":-1}'],
      ['a number in flight as text', '{"state":"paused","inFlight":"0"}'],
      ['a list', '[{"state":"paused","inFlight":0}]'],
    ])('is refused when its status says %s', async (_, text) => {
      fixture.say(text)
      const error = await fixture.consumer.state(signal).catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'ConsumerNotQuiet')).toBe(true)
    })

    it('may say more than is asked, null for what it does not know, and lines before its answer', async () => {
      fixture.say('connecting\n{"state":"paused","inFlight":0,"lag":null,"group":"orders"}\n')
      expect(await fixture.consumer.state(signal)).toEqual({ state: 'paused', inFlight: 0 })
    })

    it('shows no secret and no control character of a wrong answer', async () => {
      fixture.say(`\x1b[31mtoken=${SECRET}`)
      const error = await fixture.consumer.state(signal).catch((thrown: unknown) => thrown)
      expect(String(error)).toContain('token=***')
      expect(String(error)).not.toContain('\x1b')
    })

    it('says why a pause or a resume failed, without secrets', async () => {
      fixture.fail(`no such connector, password ${SECRET}`)
      const paused = await fixture.consumer.pause(new OpenFence()).catch((thrown: unknown) => thrown)
      const resumed = await fixture.consumer.resume(new OpenFence()).catch((thrown: unknown) => thrown)
      expect(failedWith(paused, 'ConsumerNotQuiet')).toBe(true)
      expect(failedWith(resumed, 'ConsumerNotMoving')).toBe(true)
      expect(String(paused)).toContain('no such connector')
      expect(JSON.stringify([paused, resumed])).not.toContain(SECRET)
    })
  })
}
