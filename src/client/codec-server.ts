import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Payload, PayloadCodec } from '@temporalio/common'
import { z } from 'zod'
import { messageOf } from '../domain/failures.js'

/** Far above what Temporal keeps in one event. */
const MOST_BYTES = 8 * 1024 * 1024
const REQUEST_MS = 15_000
/** Wrong tokens within a minute, after which nobody is asked for one for the rest of it. */
const WRONG_TOKENS = 10
const COOKIE = 'headgate_codec'

export interface CodecServerOptions {
  codec: PayloadCodec
  /** Where Temporal's UI is: exactly these may read an answer. */
  origins: readonly string[]
  /** Who may ask: name → token. */
  tokens: ReadonlyMap<string, string>
  /** One line for each request: who, what, how much. Never what it was. */
  onLine: (line: string) => void
}

const Body = z.object({
  payloads: z
    .array(z.object({ metadata: z.record(z.string(), z.base64()).optional(), data: z.base64().optional() }))
    .optional(),
})

/**
 * A codec server for Temporal's UI and command line: `POST /decode` and `/encode`, for whoever shows a token, as
 * `Authorization: Bearer` or as the cookie that the page `/login` sets. Says nothing to anybody else.
 */
export async function serveCodec(
  address: { host: string; port: number },
  options: CodecServerOptions,
): Promise<{ port: number; close: () => Promise<void> }> {
  const wrong: number[] = []
  const server = createServer((request, response) => {
    answer(request, response, options, wrong).catch((error: unknown) => {
      options.onLine(`failed: ${messageOf(error)}`)
      if (!response.headersSent) response.writeHead(400)
      response.end()
    })
  })
  server.requestTimeout = REQUEST_MS
  server.headersTimeout = REQUEST_MS
  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(address.port, address.host, done)
  })
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound ? bound.port : 0,
    close: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: CodecServerOptions,
  wrong: number[],
): Promise<void> {
  const { origin } = request.headers
  if (origin !== undefined && options.origins.includes(origin)) allow(response, origin)
  const what = `${request.method} ${new URL(request.url ?? '/', 'http://codec').pathname}`
  if (request.method === 'OPTIONS') return void response.writeHead(204).end()
  if (what === 'GET /login') return void response.writeHead(200, HTML).end(LOGIN)
  while (wrong[0] !== undefined && wrong[0] < Date.now() - 60_000) wrong.shift()
  if (wrong.length >= WRONG_TOKENS) return void response.writeHead(429, { 'retry-after': '60' }).end()
  const body = await bodyOf(request)
  const token = what === 'POST /login' ? (new URLSearchParams(body).get('token') ?? '') : tokenOf(request)
  const name = whoHas(token, options.tokens)
  if (name === undefined) {
    wrong.push(Date.now())
    options.onLine(`refused ${what}: no token of anybody`)
    return void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
  }
  switch (what) {
    case 'POST /login':
      options.onLine(`${name} logged in`)
      response.writeHead(200, { ...HTML, 'set-cookie': `${COOKIE}=${token}; HttpOnly; SameSite=Strict; Path=/` })
      return void response.end('<!doctype html><title>Headgate codec</title><p>You may close this page.')
    case 'POST /decode':
    case 'POST /encode': {
      const convert = what === 'POST /decode' ? options.codec.decode : options.codec.encode
      const payloads = payloadsIn(body)
      options.onLine(`${name} ${what === 'POST /decode' ? 'decoded' : 'encoded'} ${payloads.length} payloads`)
      const converted = (await convert.call(options.codec, payloads)).map(inBase64)
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ payloads: converted }))
    }
    default:
      return void response.writeHead(404).end()
  }
}

/** Exactly this origin: with cookies a star would not do, and should not. */
function allow(response: ServerResponse, origin: string): void {
  response.setHeader('access-control-allow-origin', origin)
  response.setHeader('access-control-allow-methods', 'POST, OPTIONS')
  response.setHeader('access-control-allow-headers', 'content-type, x-namespace, authorization')
  response.setHeader('access-control-allow-credentials', 'true')
  response.setHeader('vary', 'origin')
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw new Error(`a body of more than ${MOST_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function tokenOf({ headers }: IncomingMessage): string {
  const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
  return bearer ?? new RegExp(`(?:^|; )${COOKIE}=([^;]+)`).exec(headers.cookie ?? '')?.[1] ?? ''
}

/** Compared in the same time, whatever was shown. */
function whoHas(token: string, tokens: ReadonlyMap<string, string>): string | undefined {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  let found: string | undefined
  for (const [name, one] of tokens) if (timingSafeEqual(hash(one), hash(token))) found = name
  return token === '' ? undefined : found
}

const payloadsIn = (body: string): Payload[] =>
  (Body.parse(JSON.parse(body)).payloads ?? []).map(({ metadata = {}, data }) => ({
    metadata: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value, 'base64')])),
    ...(data === undefined ? {} : { data: Buffer.from(data, 'base64') }),
  }))

const inBase64 = ({ metadata, data }: Payload): object => ({
  metadata: Object.fromEntries(
    Object.entries(metadata ?? {}).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
  ...(data ? { data: Buffer.from(data).toString('base64') } : {}),
})

const HTML = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; form-action 'self'",
  'cache-control': 'no-store',
}
const LOGIN = `<!doctype html><title>Headgate codec</title>
<form method="post" action="/login"><label>Token <input name="token" type="password" autofocus></label> <button>Log in</button></form>
`
