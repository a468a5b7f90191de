import { afterEach, describe, expect, it } from 'vitest'
import { isRefused } from '../../../src/adapters/http/address.js'
import { ask, HttpUnanswered, whereOf } from '../../../src/adapters/http/ask.js'
import { freePort, type HttpServer, type Respond, startHttpServer } from '../../support/http-server.js'

const signal = new AbortController().signal
let server: HttpServer | undefined

afterEach(async () => {
  await server?.close()
  server = undefined
})

async function serve(respond: Respond): Promise<HttpServer> {
  server = await startHttpServer(respond)
  return server
}

const get = (url: string, more: { headers?: Record<string, string>; timeoutMs?: number; secrets?: string[] } = {}) =>
  ask({ method: 'GET', url, headers: {}, timeoutMs: 5_000, secrets: [], ...more }, signal)

describe('a request', () => {
  it('is not redirected: the redirect is the answer, and its target is never asked', async () => {
    const { url, received } = await serve((_, response) => {
      response.writeHead(302, { location: '/elsewhere' })
      response.end()
    })
    expect((await get(`${url}/here`)).status).toBe(302)
    expect(received.map(({ path }) => path)).toEqual(['/here'])
  })

  it('keeps no more than 64 KiB of a body that does not end', async () => {
    const { url } = await serve((_, response) => {
      const more = (): void => void response.write('x'.repeat(16_384), () => response.destroyed || setImmediate(more))
      more()
    })
    expect((await get(url)).body).toHaveLength(65_536)
  })

  it('ends when the body comes too slowly', async () => {
    const { url } = await serve((_, response) => void response.write('{'))
    await expect(get(url, { timeoutMs: 200 })).rejects.toThrow('no answer within 200 ms')
  })

  it('ends with the reason of its signal', async () => {
    const { url } = await serve(() => {})
    const stop = new AbortController()
    const asked = ask({ method: 'GET', url, headers: {}, timeoutMs: 60_000, secrets: [] }, stop.signal)
    stop.abort(new Error('stopped by hand'))
    await expect(asked).rejects.toThrow('stopped by hand')
  })

  it('says that a connection was refused', async () => {
    await expect(get(`http://127.0.0.1:${await freePort()}/`)).rejects.toThrow('connection refused')
  })

  it('says that a connection broke', async () => {
    const { url } = await serve((_, response) => void response.destroy())
    await expect(get(url)).rejects.toThrow('connection closed before the answer')
  })

  it('sends the user and password of its URL as a header', async () => {
    const { port, received } = await serve((_, response) => void response.end())
    await get(`http://ana:p%40ss@127.0.0.1:${port}/`)
    expect(received[0]?.headers.authorization).toBe(`Basic ${Buffer.from('ana:p@ss').toString('base64')}`)
  })

  it('shows of an answer 200 characters at most, on one line, without control characters', async () => {
    const { url } = await serve((_, response) => void response.end(`\x1b]0;owned\x07a\nb${'c'.repeat(1_000)}`))
    const { shown } = await get(url)
    expect(shown).toMatch(/^HTTP 200: a bc+$/)
    expect(shown.length).toBeLessThanOrEqual(210)
  })

  it('shows no secret that the answer echoes: of the configuration, of a header, of the URL', async () => {
    const { port } = await serve(({ headers, path }, response) => {
      response.end(`configured-secret ${headers['x-token']} ${headers.authorization} ${path}`)
    })
    const { shown } = await get(`http://u:url-password@127.0.0.1:${port}/?key=query-secret`, {
      headers: { 'x-token': 'Bearer header-secret' },
      secrets: ['configured-secret'],
    })
    expect(shown).not.toMatch(/configured-secret|header-secret|query-secret|url-password/)
  })

  it('says nothing of a header that cannot be sent', async () => {
    const broken = get('http://127.0.0.1:9/', { headers: { 'x-token': 'secret\nvalue' } })
    await expect(broken).rejects.toThrow(HttpUnanswered)
    await expect(broken).rejects.not.toThrow('secret')
  })

  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://[fe80::1]/',
    'http://0xa9fea9fe/',
    'http://[::ffff:169.254.169.254]/',
    'http://2852039166/',
  ])('never goes to %s', async (url) => {
    await expect(get(url)).rejects.toThrow('a link-local address is never asked')
  })

  it('calls `before` last, and lets its failure through', async () => {
    const { url, received } = await serve((_, response) => void response.end())
    const before = async (): Promise<void> => {
      throw new Error('no longer ours')
    }
    const asked = ask({ method: 'POST', url, headers: {}, timeoutMs: 5_000, secrets: [], before }, signal)
    await expect(asked).rejects.toThrow('no longer ours')
    expect(received).toEqual([])
  })
})

describe('whereOf', () => {
  it('names neither user, password nor query', () => {
    expect(whereOf('https://u:p@host:8443/path?key=secret#x')).toBe('https://host:8443/path')
  })
})

describe('isRefused', () => {
  it.each(['127.0.0.1', '::1', '10.0.0.1', '169.253.0.1', 'example.com'])('lets %s pass', (address) => {
    expect(isRefused(address)).toBe(false)
  })
  it.each(['169.254.0.1', 'fe80::abcd', 'febf::1', '::ffff:a9fe:1', '100.100.100.200'])('refuses %s', (address) => {
    expect(isRefused(address)).toBe(true)
  })
})
