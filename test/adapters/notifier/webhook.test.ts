import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createNotifier } from '../../../src/adapters/notifier/index.js'
import { freePort, type HttpServer, startHttpServer } from '../../support/http-server.js'
import { NOTICE, notifierContract } from './contract.js'

const signal = new AbortController().signal
const webhook = (url: string, headers: Record<string, string> = {}, secrets: readonly string[] = []) =>
  createNotifier({ kind: 'webhook', url, headers }, { directory: '/', secrets })

notifierContract('webhook', async (secrets) => {
  let refusal: string | undefined
  const server = await startHttpServer((_, response) => {
    response.statusCode = refusal === undefined ? 204 : 403
    response.end(refusal)
  })
  return {
    notifier: webhook(`${server.url}/hook`, {}, secrets),
    arrived: () => server.received.map(({ body }) => JSON.parse(body)),
    refuse: (text) => {
      refusal = text
    },
    leave: server.close,
    close: server.close,
  }
})

describe('a webhook', () => {
  let server: HttpServer
  let location: string | undefined

  beforeEach(async () => {
    location = undefined
    server = await startHttpServer((_, response) => {
      if (location !== undefined) response.writeHead(307, { location })
      response.end()
    })
  })
  afterEach(() => server.close())

  it('is POSTed JSON with its headers and a key that is the same when a notice comes twice', async () => {
    const notifier = webhook(`${server.url}/hook?x=1`, { authorization: 'Bearer abc' })
    await notifier.send(NOTICE, signal)
    await notifier.send(NOTICE, signal)
    await notifier.send({ ...NOTICE, sequence: 4 }, signal)
    expect(server.received[0]).toMatchObject({ method: 'POST', path: '/hook?x=1' })
    expect(server.received[0]?.headers).toMatchObject({
      authorization: 'Bearer abc',
      'content-type': 'application/json',
    })
    const keys = server.received.map(({ headers }) => headers['idempotency-key'])
    expect(keys).toEqual([
      'production-20261120-103015-3',
      'production-20261120-103015-3',
      'production-20261120-103015-4',
    ])
  })

  it('does not follow a redirect', async () => {
    location = `${server.url}/elsewhere`
    await expect(webhook(`${server.url}/hook`).send(NOTICE, signal)).rejects.toThrow('HTTP 307')
    expect(server.received.map(({ path }) => path)).toEqual(['/hook'])
  })

  it.each(['http://169.254.169.254/latest/', 'http://[fe80::1]/hook', 'http://[::ffff:169.254.1.1]/hook'])(
    'is refused at %s',
    async (url) => {
      await expect(webhook(url).send(NOTICE, signal)).rejects.toThrow('a link-local address is never asked')
    },
  )

  it('is named by its server only: its path is its password', async () => {
    const url = `http://127.0.0.1:${await freePort()}/services/T000/B000/path-secret?key=query-secret`
    const error = await webhook(url)
      .send(NOTICE, signal)
      .catch((thrown: unknown) => thrown)
    expect(String(error)).toMatch(/^Error: webhook http:\/\/127\.0\.0\.1:\d+: connection refused$/)
  })
})
