import { describe, expect, it } from 'vitest'
import { createNotifier, notifyAll } from '../../../src/adapters/notifier/index.js'
import type { Notifier } from '../../../src/adapters/notifier/port.js'
import { startHttpServer } from '../../support/http-server.js'
import { NOTICE } from './contract.js'

type Tells = Pick<Notifier, 'send'>

const signal = new AbortController().signal

/** Fails the first `failures` times. */
function notifierThatFails(failures: number): Tells & { tries: number } {
  const notifier = {
    tries: 0,
    async send() {
      notifier.tries += 1
      if (notifier.tries <= failures) throw new Error(`try ${notifier.tries} failed`)
    },
  }
  return notifier
}

describe('notifyAll', () => {
  it('has nothing to say when everybody was told', async () => {
    expect(await notifyAll([notifierThatFails(0), notifierThatFails(0)], NOTICE, signal)).toEqual([])
  })

  it('tries three times', async () => {
    const notifier = notifierThatFails(2)
    expect(await notifyAll([notifier], NOTICE, signal)).toEqual([])
    expect(notifier.tries).toBe(3)
  })

  it('tells the others when one fails, and says what failed last', async () => {
    const broken = notifierThatFails(99)
    const well = notifierThatFails(0)
    expect(await notifyAll([broken, well], NOTICE, signal)).toEqual(['try 3 failed'])
    expect(broken.tries).toBe(3)
    expect(well.tries).toBe(1)
  })

  it('does not throw when a notifier throws at once', async () => {
    const careless: Tells = {
      send() {
        throw new Error('careless')
      },
    }
    expect(await notifyAll([careless], NOTICE, signal)).toEqual(['careless'])
  })

  it('leaves a notifier behind that does not end when it is told to', async () => {
    const stop = new AbortController()
    const deaf: Tells = { send: () => new Promise(() => stop.abort(new Error('enough'))) }
    expect(await notifyAll([deaf], NOTICE, stop.signal)).toEqual(['not told: the step was ended'])
  })

  it('tells nobody when the step has ended already', async () => {
    const notifier = notifierThatFails(0)
    expect(await notifyAll([notifier], NOTICE, AbortSignal.abort())).toEqual(['not told: the step was ended'])
    expect(notifier.tries).toBe(0)
  })

  it('sends each try of a webhook under one key', async () => {
    let status = 503
    const server = await startHttpServer((_, response) => {
      response.statusCode = status
      status = 200
      response.end()
    })
    const webhook = createNotifier({ kind: 'webhook', url: server.url, headers: {} }, { directory: '/', secrets: [] })
    expect(await notifyAll([webhook], NOTICE, signal)).toEqual([])
    const keys = server.received.map(({ headers }) => headers['idempotency-key'])
    expect(keys).toEqual(['production-20261120-103015-3', 'production-20261120-103015-3'])
    await server.close()
  })
})
