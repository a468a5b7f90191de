import { randomBytes } from 'node:crypto'
import { defaultPayloadConverter } from '@temporalio/common'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { serveCodec } from '../../src/client/codec-server.js'
import { EncryptionCodec } from '../../src/client/encryption.js'

const UI = 'http://127.0.0.1:8233'
const TOKEN = 'a-token-of-ana-that-is-long-enough'
const codec = new EncryptionCodec([randomBytes(32)])
let lines: string[] = []
let server: Awaited<ReturnType<typeof serveCodec>>
let wire: object[]

beforeAll(async () => {
  const [one] = await codec.encode([defaultPayloadConverter.toPayload('orders')])
  const base64 = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString('base64')
  const metadata = Object.fromEntries(Object.entries(one?.metadata ?? {}).map(([key, value]) => [key, base64(value)]))
  wire = [{ metadata, data: base64(one?.data) }]
})
beforeEach(async () => {
  lines = []
  await server?.close()
  server = await serveCodec(
    { host: '127.0.0.1', port: 0 },
    { codec, origins: [UI], tokens: new Map([['ana', TOKEN]]), onLine: (line) => lines.push(line) },
  )
})
afterAll(() => server.close())

const ask = (path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.port}${path}`, { method: 'POST', redirect: 'manual', ...init })
const bearer = { authorization: `Bearer ${TOKEN}` }
const payloadsOf = async (answer: Response): Promise<{ data: string }[]> => JSON.parse(await answer.text()).payloads
const decoded = async (answer: Response): Promise<string> => {
  const [one] = await payloadsOf(answer)
  return Buffer.from(one?.data ?? '', 'base64').toString('utf8')
}

test('decodes for whoever has a token, and says who asked, never what it was', async () => {
  const answer = await ask('/decode', { headers: bearer, body: JSON.stringify({ payloads: wire }) })
  expect(await decoded(answer)).toBe('"orders"')
  expect(lines).toEqual(['ana decoded 1 payloads'])
})

test('decodes with the cookie that logging in has set', async () => {
  const login = await ask('/login', { body: new URLSearchParams({ token: TOKEN }).toString() })
  const cookie = login.headers.get('set-cookie') ?? ''
  expect(cookie).toMatch(/HttpOnly; SameSite=Strict/)
  // It goes to every port of the host.
  expect(cookie).not.toContain(TOKEN)
  const headers = { cookie: cookie.split(';')[0] ?? '' }
  expect(await decoded(await ask('/decode', { headers, body: JSON.stringify({ payloads: wire }) }))).toBe('"orders"')
})

test('what it encodes it decodes', async () => {
  const plain = [
    { metadata: { encoding: Buffer.from('json/plain').toString('base64') }, data: Buffer.from('7').toString('base64') },
  ]
  const payloads = await payloadsOf(
    await ask('/encode', { headers: bearer, body: JSON.stringify({ payloads: plain }) }),
  )
  expect(await decoded(await ask('/decode', { headers: bearer, body: JSON.stringify({ payloads }) }))).toBe('7')
})

test('a body without payloads has none', async () => {
  expect(await (await ask('/decode', { headers: bearer, body: '{}' })).json()).toEqual({ payloads: [] })
})

test.each([
  ['no token', {}],
  ['an empty one', { authorization: 'Bearer ' }],
  ['another one', { authorization: `Bearer ${TOKEN}x` }],
])('nobody is told anything with %s', async (_, headers) => {
  const answer = await ask('/decode', { headers, body: JSON.stringify({ payloads: wire }) })
  expect([answer.status, await answer.text()]).toEqual([401, ''])
})

test('who guesses is not asked any more for a while', async () => {
  const guess = async (headers: Record<string, string>): Promise<number> =>
    (await ask('/decode', { headers, body: '{}' })).status
  // Whoever shows nothing does not guess.
  for (let n = 0; n < 20; n++) expect(await guess({})).toBe(401)
  for (let n = 0; n < 10; n++) expect(await guess({ authorization: `Bearer guess-${n}` })).toBe(401)
  expect(await guess({ authorization: 'Bearer guess-11' })).toBe(429)
  expect(await guess(bearer)).toBe(200)
})

test('a page from elsewhere may not read an answer', async () => {
  const from = async (origin: string): Promise<string | null> =>
    (await ask('/decode', { method: 'OPTIONS', headers: { origin } })).headers.get('access-control-allow-origin')
  expect(await from(UI)).toBe(UI)
  expect(await from('http://evil.example')).toBeNull()
  expect(await from('null')).toBeNull()
  const headers = { ...bearer, origin: 'http://evil.example' }
  expect((await ask('/decode', { headers, body: '{}' })).status).toBe(403)
})

test.each([
  ['no JSON', 'payloads'],
  ['no base64', JSON.stringify({ payloads: [{ data: '***' }] })],
  [
    'what nobody has encrypted so',
    JSON.stringify({
      payloads: [{ metadata: { encoding: Buffer.from('binary/encrypted').toString('base64') }, data: '' }],
    }),
  ],
])('a body that is %s is refused, and the server stays', async (_, body) => {
  expect((await ask('/decode', { headers: bearer, body })).status).toBe(400)
  expect((await ask('/decode', { headers: bearer, body: '{}' })).status).toBe(200)
})

test('a body without an end is refused', async () => {
  const answer = await ask('/decode', { headers: bearer, body: 'x'.repeat(9_000_000) }).catch(() => undefined)
  expect(answer?.status ?? 400).toBe(400)
})

test('other paths are nobody’s', async () => {
  expect((await ask('/keys', { headers: bearer })).status).toBe(404)
})
