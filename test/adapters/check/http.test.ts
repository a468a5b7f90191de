import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createChecks } from '../../../src/adapters/check/index.js'
import type { CheckSetting } from '../../../src/adapters/check/port.js'
import { proveCheck } from '../../../src/adapters/check/prove.js'
import { SmokeCheck } from '../../../src/domain/configuration-checks.js'
import { freePort, type HttpServer, type Respond, startHttpServer } from '../../support/http-server.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

const signal = new AbortController().signal
const setting: CheckSetting = {
  target: {
    host: '127.0.0.1',
    port: 1,
    database: '',
    user: '',
    password: undefined,
    sslmode: undefined,
    sslrootcert: undefined,
  },
  applicationName: 'hg:00000000:1:smoke',
  directory: '/',
  secrets: [SECRET],
}

function smoke(configuration: object) {
  const [check] = createChecks([SmokeCheck.parse(configuration)], setting)
  if (!check) throw new Error('no check was made')
  return check
}

checkContract('http', async () => {
  let status = 200
  const server = await startHttpServer((_, response) => {
    response.statusCode = status
    response.end(`it works with ${SECRET}\n\x1b[2J`)
  })
  return {
    check: smoke({ http: `${server.url}/orders/health` }),
    become: async (condition) => {
      status = condition === 'good' ? 200 : 500
      if (condition === 'gone') await server.close()
    },
    close: server.close,
  }
})

describe('a smoke check', () => {
  let server: HttpServer
  let respond: Respond

  beforeEach(async () => {
    respond = (_, response) => void response.end('ok')
    server = await startHttpServer((request, response) => respond(request, response))
  })
  afterEach(() => server.close())

  it('sends method, headers and body as they are configured', async () => {
    const headers = { authorization: 'Bearer abc' }
    await smoke({ http: `${server.url}/orders`, method: 'POST', headers, body: { id: 7 } }).run(CONTEXT, signal)
    expect(server.received[0]).toMatchObject({ method: 'POST', path: '/orders', body: '{"id":7}' })
    expect(server.received[0]?.headers).toMatchObject({
      authorization: 'Bearer abc',
      'content-type': 'application/json',
    })
  })

  it.each([
    [204, 204, true],
    [302, 302, true],
    [200, 302, false],
    [404, 404, true],
    [200, 500, false],
  ])('that expects HTTP %i and gets HTTP %i is ok: %s', async (expectStatus, status, ok) => {
    respond = (_, response) => {
      response.writeHead(status, { location: 'http://169.254.169.254/' })
      response.end()
    }
    expect(await smoke({ http: server.url, expectStatus }).run(CONTEXT, signal)).toMatchObject({ ok })
  })

  it.each<[string, Respond]>([
    [
      'in the header',
      (request, response) => {
        response.setHeader('x-correlation-id', String(request.headers['x-correlation-id']))
        response.end()
      },
    ],
    ['in the body', (request, response) => void response.end(`{"id":"${request.headers['x-correlation-id']}"}`)],
  ])('believes an answer with its correlation id %s', async (_, answer) => {
    respond = answer
    const result = await smoke({ http: server.url, correlation: true }).run(CONTEXT, signal)
    expect(result).toMatchObject({ ok: true })
    expect(server.received[0]?.headers['x-correlation-id']).toMatch(/^production-20261120-103015-smoke-1-[0-9a-f]{6}$/)
  })

  it('does not believe an answer with another correlation id', async () => {
    respond = (_, response) => void response.end('production-20261119-103015-smoke-1')
    const result = await smoke({ http: server.url, correlation: true }).run(CONTEXT, signal)
    expect(result.ok).toBe(false)
    expect(result.found).toContain('did not come back')
  })

  it('sends each check of a run another correlation id', async () => {
    const configuration = SmokeCheck.parse({ http: server.url, correlation: true })
    for (const check of createChecks([configuration, configuration], setting)) await check.run(CONTEXT, signal)
    const ids = server.received.map(({ headers }) => headers['x-correlation-id'])
    expect(ids.map((id) => String(id).replace(/[0-9a-f]{6}$/, ''))).toEqual([
      'production-20261120-103015-smoke-1-',
      'production-20261120-103015-smoke-2-',
    ])
  })

  it('is named after its request where it has no name, without what may be secret in the URL', () => {
    expect(smoke({ http: 'http://u:p@localhost:8080/orders?key=abc' }).name).toBe('GET http://localhost:8080/orders')
  })

  it('is asked again until the service is up', async () => {
    const port = await freePort()
    const proving = proveCheck(smoke({ http: `http://127.0.0.1:${port}/` }), CONTEXT, { signal })
    const late = await startHttpServer((_, response) => void response.end(), port)
    expect(await proving).toMatchObject({ ok: true })
    await late.close()
  })

  it('is a no when time is over, with the last answer', async () => {
    respond = (_, response) => {
      response.statusCode = 503
      response.end('warming up')
    }
    const result = await proveCheck(smoke({ http: server.url, within: '700ms' }), CONTEXT, { signal })
    expect(result).toMatchObject({ ok: false, found: 'expected HTTP 200, got HTTP 503: warming up within 700 ms' })
    expect(server.received.length).toBeGreaterThan(1)
  })

  it('is asked once when the first answer is good: a POST may have an effect', async () => {
    await proveCheck(smoke({ http: server.url, method: 'POST' }), CONTEXT, { signal })
    expect(server.received).toHaveLength(1)
  })
})

describe('a value in an answer', () => {
  let server: HttpServer
  let answer: unknown
  beforeEach(async () => {
    server = await startHttpServer((_, response) => void response.end(JSON.stringify(answer)))
  })
  afterEach(() => server.close())

  it.each([
    [{ version: 'v1' }, { json: '$.version', expect: '{tag}' }, true, '$.version: v1'],
    [{ version: 'v0' }, { json: '$.version', expect: '{tag}' }, false, '$.version: v0, expected v1'],
    [{ hits: [{ count: 3 }] }, { json: '$.hits[0].count', max: 5 }, true, '$.hits[0].count: 3'],
    [{ hits: [{ count: '7' }] }, { json: '$.hits[0].count', max: 5 }, false, '7, at most 5'],
    [{ hits: [] }, { json: '$.hits[0].count', max: 5 }, false, 'nothing is there'],
    [{ total: null }, { json: '$.total', min: 0 }, false, 'null, at least 0'],
    [{ total: {} }, { json: '$.total', expect: '[object Object]' }, false, '{}'],
  ])('%o against %o', async (body, expectation, ok, found) => {
    answer = body
    const result = await smoke({ http: `${server.url}/search`, ...expectation }).run(CONTEXT, signal)
    expect(result).toMatchObject({ ok, found: expect.stringContaining(found) })
  })

  it('that nobody knows in this run proves nothing', async () => {
    answer = { version: '' }
    const context = { ...CONTEXT, tag: undefined }
    const result = await smoke({ http: server.url, json: '$.version', expect: '{tag}' }).run(context, signal)
    expect(result).toMatchObject({ ok: false, found: '{tag} is not known in this run' })
  })

  it.each([
    ['', 0],
    [false, 0],
    [true, 1],
  ])('that is %o is not the number %d', async (value, expected) => {
    answer = { value }
    expect((await smoke({ http: server.url, json: '$.value', expect: expected }).run(CONTEXT, signal)).ok).toBe(false)
  })

  it('by a path that is none, or in an answer that is no JSON, is not there', async () => {
    answer = { a: 1 }
    expect((await smoke({ http: server.url, json: '$.a[' }).run(CONTEXT, signal)).ok).toBe(false)
    server = await startHttpServer((_, response) => void response.end('<html>'))
    const { ok, found } = await smoke({ http: server.url, json: '$.a', expect: 1 }).run(CONTEXT, signal)
    expect(ok).toBe(false)
    expect(found).toContain('the answer is not JSON')
  })
})

describe('a request that is sent twice', () => {
  /** Orders by their idempotency key, or one for each request. */
  const shop = async (knowsKeys: boolean): Promise<HttpServer> => {
    const orders: { key: string; correlation: string }[] = []
    return startHttpServer(({ method, path, headers }, response) => {
      const key = String(headers['idempotency-key'])
      const correlation = String(headers['x-correlation-id'])
      if (method === 'POST') {
        if (!knowsKeys || !orders.some((order) => order.key === key)) orders.push({ key, correlation })
        response.statusCode = 201
        return void response.end()
      }
      const asked = new URL(path, 'http://shop').searchParams.get('correlation')
      const found = orders.filter((order) => order.correlation === asked)
      response.end(JSON.stringify({ total: found.length }))
    })
  }
  const twice = (url: string) =>
    smoke({
      ...{ http: `${url}/orders`, method: 'POST', body: { item: 'tea' }, expectStatus: 201 },
      twice: { url: `${url}/orders?correlation={correlation}`, json: '$.total' },
    })

  it('has one effect where the service knows it again', async () => {
    const server = await shop(true)
    const result = await twice(server.url).run(CONTEXT, signal)
    await server.close()
    expect(result).toMatchObject({ ok: true, found: 'sent twice, $.total: 1' })
  })

  it('is a finding where it has two', async () => {
    const server = await shop(false)
    const result = await twice(server.url).run(CONTEXT, signal)
    await server.close()
    expect(result).toMatchObject({ ok: false, found: 'sent twice, $.total: 2, expected 1' })
  })
})
