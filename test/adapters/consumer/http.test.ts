import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createConsumer } from '../../../src/adapters/consumer/index.js'
import type { ConsumerState } from '../../../src/adapters/consumer/port.js'
import { failedWith } from '../../../src/domain/failures.js'
import { freePort, type HttpServer, json, startHttpServer } from '../../support/http-server.js'
import { OpenFence } from '../../support/open-fence.js'
import { type SpokenFixture, spokenContract } from './contract.js'

const consumerAt = (url: string, secrets: readonly string[] = [], headers: Record<string, string> = {}) =>
  createConsumer(
    'orders',
    { kind: 'http', pause: `${url}/pause`, resume: `${url}/resume`, status: `${url}/status`, headers, within: 60_000 },
    { directory: '/', secrets },
  )

async function fixture(secrets: readonly string[]): Promise<SpokenFixture> {
  let actual: ConsumerState = { state: 'running', inFlight: 0 }
  let said: string | undefined
  let failing: string | undefined
  const server = await startHttpServer(({ method, path }, response) => {
    if (method === 'GET' && path === '/status')
      return said === undefined ? json(response, 200, actual) : response.end(said)
    if (failing !== undefined) return json(response, 409, failing)
    if (method === 'POST' && path === '/pause') actual = { ...actual, state: 'paused' }
    if (method === 'POST' && path === '/resume') actual = { ...actual, state: 'running' }
    return json(response, 204, {})
  })
  return {
    consumer: consumerAt(server.url, secrets),
    state: () => actual.state,
    set: (state) => {
      actual = state
    },
    say: (text) => {
      said = text
    },
    fail: (text) => {
      failing = text
    },
    close: server.close,
  }
}

spokenContract('http', fixture)

describe('an http consumer', () => {
  const signal = new AbortController().signal
  let server: HttpServer
  let statuses: number[]

  beforeEach(async () => {
    statuses = []
    server = await startHttpServer((_, response) =>
      json(response, statuses.shift() ?? 200, { state: 'paused', inFlight: 0 }),
    )
  })
  afterEach(() => server.close())

  it('sends its headers with each request', async () => {
    const consumer = consumerAt(server.url, [], { authorization: 'Bearer abc123' })
    await consumer.state(signal)
    await consumer.pause(new OpenFence())
    expect(server.received.map(({ headers }) => headers.authorization)).toEqual(['Bearer abc123', 'Bearer abc123'])
  })

  it('is asked again when its server is broken for a moment, with the fence checked before each request', async () => {
    statuses = [503, 500]
    const fence = new OpenFence()
    await consumerAt(server.url).pause(fence)
    expect(server.received).toHaveLength(3)
    expect(fence.checks).toBe(3)
  })

  it('is given up after three tries', async () => {
    statuses = [503, 503, 503]
    await expect(consumerAt(server.url).state(signal)).rejects.toThrow(/consumer orders: GET http.*\/status: HTTP 503/)
    expect(server.received).toHaveLength(3)
  })

  it('is asked once when it refuses the request itself', async () => {
    statuses = [404]
    await expect(consumerAt(server.url).pause(new OpenFence())).rejects.toThrow('HTTP 404')
    expect(server.received).toHaveLength(1)
  })

  it('is not believed when it redirects', async () => {
    statuses = [307]
    await expect(consumerAt(server.url).pause(new OpenFence())).rejects.toThrow('HTTP 307')
  })

  it('says that nobody listens', async () => {
    const error = await consumerAt(`http://127.0.0.1:${await freePort()}`)
      .state(signal)
      .catch((thrown: unknown) => thrown)
    expect(failedWith(error, 'ConsumerNotQuiet')).toBe(true)
    expect(String(error)).toContain('connection refused')
  })

  it('is reached when it comes back between two tries', async () => {
    const port = await freePort()
    const asked = consumerAt(`http://127.0.0.1:${port}`).state(signal)
    const late = await startHttpServer((_, response) => json(response, 200, { state: 'paused', inFlight: 0 }), port)
    await expect(asked).resolves.toEqual({ state: 'paused', inFlight: 0 })
    await late.close()
  })
})
