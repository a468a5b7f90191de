import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Check, CheckContext } from '../../../src/adapters/check/port.js'
import { proveCheck } from '../../../src/adapters/check/prove.js'

/** A real thing to look at. Before `become` it is good. */
export interface CheckFixture {
  check: Check
  /** `bad`: says no; `gone`: nobody answers any more. */
  become(condition: 'good' | 'bad' | 'gone'): Promise<void>
  close(): Promise<void>
}

export const CONTEXT: CheckContext = {
  tag: 'v1',
  expectedVersion: '0042_add_email',
  ignoring: [],
  run: 'production-20261120-103015',
}
export const SECRET = 'hunter2-secret'

/** What every kind of check owes. */
export function checkContract(kind: string, make: () => Promise<CheckFixture>): void {
  describe(`a check of the kind ${kind}`, () => {
    let fixture: CheckFixture
    const signal = new AbortController().signal

    beforeEach(async () => {
      fixture = await make()
    })
    afterEach(() => fixture.close())

    it('says yes to what is good, under its name and in one line', async () => {
      const result = await fixture.check.run(CONTEXT, signal)
      expect(result).toMatchObject({ name: fixture.check.name, ok: true })
      expect(result.found).toMatch(/^.{1,300}$/)
    })

    it('says no to what is bad, in one line, without throwing', async () => {
      await fixture.become('bad')
      const result = await fixture.check.run(CONTEXT, signal)
      expect(result.ok).toBe(false)
      expect(result.found).toMatch(/^.{1,300}$/)
    })

    it('says no where nobody answers, without throwing', async () => {
      await fixture.become('gone')
      expect(await fixture.check.run(CONTEXT, signal)).toMatchObject({ name: fixture.check.name, ok: false })
    })

    it('shows no secret, whatever it finds', async () => {
      await fixture.become('bad')
      expect(JSON.stringify(await fixture.check.run(CONTEXT, signal))).not.toContain(SECRET)
    })

    it('throws the reason of its signal, and nothing else', async () => {
      await expect(fixture.check.run(CONTEXT, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
    })

    it('is proven when good', async () => {
      expect(await proveCheck(fixture.check, CONTEXT, { signal })).toMatchObject({ ok: true })
    })
  })
}
