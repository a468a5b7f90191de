import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Service } from '../../../src/adapters/service/port.js'
import { failedWith, failure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'

/** A real service that the test can look into. `v1` and `v2` can be deployed, `v9` cannot. */
export interface ServiceFixture {
  service: Service
  /** The tag that runs now, seen from outside. */
  running(): string | undefined
  /** False where only who starts it knows what can be deployed. */
  tellsExistence?: false
  close(): Promise<void>
}

/** What every kind of service that can be stopped, and tells whether it runs, owes. */
export function serviceContract(kind: string, make: () => Promise<ServiceFixture>): void {
  describe(`a service of the kind ${kind}`, () => {
    let fixture: ServiceFixture
    const signal = new AbortController().signal
    const fence = new OpenFence()

    beforeEach(async () => {
      fixture = await make()
    })
    afterEach(() => fixture.close())

    it('has no current tag before anything was deployed', async () => {
      expect(await fixture.service.current(signal)).toBeUndefined()
    })

    it('deploys a tag, started, and tells it; twice is once', async () => {
      await fixture.service.deploy('v1', fence)
      await fixture.service.deploy('v1', fence)
      expect(fixture.running()).toBe('v1')
      expect(await fixture.service.current(signal)).toBe('v1')
    })

    it('replaces one tag by another', async () => {
      await fixture.service.deploy('v1', fence)
      await fixture.service.deploy('v2', fence)
      expect(fixture.running()).toBe('v2')
    })

    it('stops and starts what is deployed; twice is once', async () => {
      const { service, running } = fixture
      expect(service.canStop).toBe(true)
      await service.deploy('v1', fence)
      await service.stop(fence)
      await service.stop(fence)
      expect(running()).toBeUndefined()
      expect(await service.current(signal)).toBe('v1')
      await service.start(fence)
      await service.start(fence)
      expect(running()).toBe('v1')
    })

    it('tells whether it runs', async () => {
      const { service } = fixture
      expect(await service.isRunning(signal)).toBe(false)
      await service.deploy('v1', fence)
      expect(await service.isRunning(signal)).toBe(true)
      await service.stop(fence)
      expect(await service.isRunning(signal)).toBe(false)
      await service.start(fence)
      expect(await service.isRunning(signal)).toBe(true)
    })

    it('tells what can be deployed', async () => {
      const knows = fixture.tellsExistence ?? true
      expect(await fixture.service.exists('v1', signal)).toBe(knows ? true : undefined)
      expect(await fixture.service.exists('v9', signal)).toBe(knows ? false : undefined)
    })

    it('asks the fence before each change, and not to look', async () => {
      const counted = new OpenFence()
      await fixture.service.current(signal)
      await fixture.service.isRunning(signal)
      await fixture.service.exists('v1', signal)
      expect(counted.checks).toBe(0)
      await fixture.service.deploy('v1', counted)
      expect(counted.checks).toBeGreaterThanOrEqual(1)
    })

    it('changes nothing once the fence is lost', async () => {
      const lost = new OpenFence({ signal: AbortSignal.abort(failure('FenceLost', 'a later attempt has taken over')) })
      const error = await fixture.service.deploy('v1', lost).catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'FenceLost')).toBe(true)
      expect(fixture.running()).toBeUndefined()
    })

    it('fails to deploy what does not exist, and leaves what runs', async () => {
      await fixture.service.deploy('v1', fence)
      const error = await fixture.service.deploy('v9', fence).catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'ServiceFailed')).toBe(true)
      expect(fixture.running()).toBe('v1')
    })

    it.each([
      'v1;touch touched',
      '$(touch touched)',
      '`touch touched`',
      '-v/:/host',
      '--help',
      'v1\ntouch touched',
      '',
      'x'.repeat(10_000),
      '../v1',
    ])('refuses %j, which is not a tag', async (tag) => {
      const error = await fixture.service.deploy(tag, fence).catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'InputInvalid')).toBe(true)
      expect(fixture.running()).toBeUndefined()
    })
  })
}
