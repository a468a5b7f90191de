import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Autodeploy } from '../../../src/adapters/autodeploy/port.js'
import { proveHeld } from '../../../src/adapters/autodeploy/prove.js'
import { failedWith, failure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'

/** Something that deploys by itself, and that the test can look into. */
export interface AutodeployFixture {
  autodeploy: Autodeploy
  /** Seen from outside. */
  isHeld(): boolean
  /** So many of its deployments are under way from now on. */
  underWay(running: number): void
  /** It refuses every change and every question from now on, saying `text`. */
  refuse(text: string): void
  close(): Promise<void>
}

export const SECRET = 'hunter2-secret'

/** What every kind owes. */
export function autodeployContract(
  kind: string,
  make: (options: { running: 'wait' | 'ignore'; within: number }) => Promise<AutodeployFixture>,
): void {
  describe(`what deploys by itself, of the kind ${kind}`, () => {
    let fixture: AutodeployFixture
    const signal = new AbortController().signal
    const onSample = (): void => {}

    beforeEach(async () => {
      fixture = await make({ running: 'wait', within: 60_000 })
    })
    afterEach(() => fixture.close())

    it('is changed by nothing but hold and release', async () => {
      expect(await fixture.autodeploy.state(signal)).toEqual({ state: 'on', running: 0 })
      expect(fixture.isHeld()).toBe(false)
    })

    it('is held; twice is once', async () => {
      await fixture.autodeploy.hold(new OpenFence())
      await fixture.autodeploy.hold(new OpenFence())
      expect(fixture.isHeld()).toBe(true)
      expect(await proveHeld(fixture.autodeploy, { signal, onSample })).toEqual({ state: 'held', running: 0 })
    })

    it('goes on; twice is once', async () => {
      await fixture.autodeploy.hold(new OpenFence())
      await fixture.autodeploy.release(new OpenFence())
      await fixture.autodeploy.release(new OpenFence())
      expect(fixture.isHeld()).toBe(false)
      expect((await fixture.autodeploy.state(signal)).state).toBe('on')
    })

    it('asks the fence before each change, and not for its state', async () => {
      const fence = new OpenFence()
      await fixture.autodeploy.state(signal)
      expect(fence.checks).toBe(0)
      await fixture.autodeploy.hold(fence)
      const held = fence.checks
      expect(held).toBeGreaterThanOrEqual(1)
      await fixture.autodeploy.release(fence)
      expect(fence.checks).toBeGreaterThan(held)
    })

    it('is not changed once the fence is lost', async () => {
      const lost = new OpenFence({ signal: AbortSignal.abort(failure('FenceLost', 'a later attempt has taken over')) })
      const error = await fixture.autodeploy.hold(lost).catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'FenceLost')).toBe(true)
      expect(fixture.isHeld()).toBe(false)
    })

    it('is not proven held before what is under way has ended', async () => {
      fixture.underWay(2)
      await fixture.autodeploy.hold(new OpenFence())
      const seen: number[] = []
      const proof = proveHeld(fixture.autodeploy, {
        signal,
        onSample: ({ running }) => {
          seen.push(running)
          fixture.underWay(0)
        },
      })
      expect(await proof).toEqual({ state: 'held', running: 0 })
      expect(seen[0]).toBeGreaterThan(0)
    })

    it('is not waited for where that is not wanted, and not for longer than it may take', async () => {
      await fixture.close()
      fixture = await make({ running: 'ignore', within: 60_000 })
      fixture.underWay(1)
      await fixture.autodeploy.hold(new OpenFence())
      expect((await proveHeld(fixture.autodeploy, { signal, onSample })).running).toBeGreaterThan(0)
      await fixture.close()
      fixture = await make({ running: 'wait', within: 400 })
      fixture.underWay(1)
      await fixture.autodeploy.hold(new OpenFence())
      const error = await proveHeld(fixture.autodeploy, { signal, onSample }).catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'AutodeployNotHeld')).toBe(true)
      expect(String(error)).toContain('held, 1 under way')
    })

    it('says why it could not be held or released, without a secret', async () => {
      fixture.refuse(`no right for ${SECRET}`)
      const errors = [
        await fixture.autodeploy.state(signal).catch((thrown: unknown) => thrown),
        await fixture.autodeploy.hold(new OpenFence()).catch((thrown: unknown) => thrown),
      ]
      for (const error of errors) {
        expect(failedWith(error, 'AutodeployNotHeld'), String(error)).toBe(true)
        expect(String(error)).toContain('no right for ***')
      }
    })
  })
}
