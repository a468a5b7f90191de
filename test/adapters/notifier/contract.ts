import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Notice, Notifier } from '../../../src/adapters/notifier/port.js'

/** A real receiver that the test can look into. */
export interface NotifierFixture {
  notifier: Notifier
  /** What has arrived, in order. */
  arrived(): unknown[]
  /** It refuses from now on, saying `text`. */
  refuse(text: string): void
  /** Nobody is there from now on. */
  leave(): Promise<void>
  close(): Promise<void>
}

export const SECRET = 'hunter2-secret'
export const NOTICE: Notice = {
  run: 'production-20261120-103015',
  sequence: 3,
  project: 'shop',
  environment: 'production',
  kind: 'waiting',
  text: 'waits for an approval of 3 contract migrations',
  next: 'headgate approve production-20261120-103015',
}

/** What every kind of notifier owes. `make` gets the secrets that must not be shown. */
export function notifierContract(kind: string, make: (secrets: readonly string[]) => Promise<NotifierFixture>): void {
  describe(`a notifier of the kind ${kind}`, () => {
    let fixture: NotifierFixture
    const signal = new AbortController().signal

    beforeEach(async () => {
      fixture = await make([SECRET])
    })
    afterEach(() => fixture.close())

    it('tells a notice as it is', async () => {
      await fixture.notifier.send(NOTICE, signal)
      expect(fixture.arrived()).toEqual([NOTICE])
    })

    it('tells a text with quotes, newlines and other alphabets', async () => {
      const notice = { ...NOTICE, text: `"it's"\n$(date) \\ – дело 数据库` }
      await fixture.notifier.send(notice, signal)
      expect(fixture.arrived()).toEqual([notice])
    })

    it('tells neither secrets nor control characters', async () => {
      await fixture.notifier.send({ ...NOTICE, text: `\x1b]0;owned\x07login with ${SECRET}` }, signal)
      expect(fixture.arrived()).toEqual([{ ...NOTICE, text: 'login with ***' }])
    })

    it('throws when the receiver refuses, without secrets', async () => {
      fixture.refuse(`wrong token ${SECRET}`)
      const error = await fixture.notifier.send(NOTICE, signal).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(Error)
      expect(String(error)).not.toContain(SECRET)
    })

    it('is looked for without being told anything', async () => {
      await expect(fixture.notifier.reach(signal)).resolves.toMatch(/\w/)
      expect(fixture.arrived()).toEqual([])
    })

    it('throws when nobody is there to be told, and shows no secret', async () => {
      await fixture.leave()
      const error = await fixture.notifier.reach(signal).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(Error)
      expect(String(error)).not.toContain(SECRET)
    })

    it('stops when the signal aborts', async () => {
      await expect(fixture.notifier.send(NOTICE, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
    })
  })
}
