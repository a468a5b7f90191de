import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Payload, PayloadCodec } from '@temporalio/common'
import { z } from 'zod'
import { messageOf } from '../domain/failures.js'

/** Far above what Temporal keeps in one event. */
const MOST_BYTES = 8 * 1024 * 1024
const REQUEST_MS = 15_000
const LOGIN_BYTES = 4_096
const MOST_CONNECTIONS = 50
/** How long one who logged in stays so. */
const SESSION_MS = 8 * 3_600_000
/** Wrong tokens within a minute, after which only right ones are answered for the rest of it. */
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
  const door = new Door(options.tokens)
  const server = createServer((request, response) => {
    answer(request, response, options, door).catch((error: unknown) => {
      options.onLine(`refused what cannot be read: ${(messageOf(error).split('\n')[0] ?? '').slice(0, 200)}`)
      if (!response.headersSent) response.writeHead(400)
      response.end()
    })
  })
  server.requestTimeout = REQUEST_MS
  server.headersTimeout = REQUEST_MS
  server.maxConnections = MOST_CONNECTIONS
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
  door: Door,
): Promise<void> {
  const { origin, host } = request.headers
  const what = `${request.method} ${new URL(request.url ?? '/', 'http://codec').pathname}`
  if (origin !== undefined && options.origins.includes(origin)) allow(response, origin)
  else if (origin !== undefined && origin !== `http://${host}`) return void response.writeHead(403).end()
  if (request.method === 'OPTIONS') return void response.writeHead(204).end()
  if (what === 'GET /login') return void response.writeHead(200, HTML).end(LOGIN)
  const isLogin = what === 'POST /login'
  const token = isLogin
    ? (new URLSearchParams(await bodyOf(request, LOGIN_BYTES)).get('token') ?? '')
    : bearerOf(request)
  const name = (isLogin ? undefined : door.behind(cookieOf(request))) ?? door.whoHas(token)
  if (name === undefined) {
    if (door.isShut) return void response.writeHead(429, { 'retry-after': '60' }).end()
    if (token !== '') door.guessed()
    options.onLine(
      `refused ${/^(GET|POST) \/(login|decode|encode)$/.test(what) ? what : 'something else'}: no token of anybody`,
    )
    return void response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
  }
  switch (what) {
    case 'POST /login':
      options.onLine(`${name} logged in`)
      response.writeHead(200, {
        ...HTML,
        'set-cookie': `${COOKIE}=${door.letIn(name)}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${SESSION_MS / 1_000}`,
      })
      return void response.end('<!doctype html><title>Headgate codec</title><p>You may close this page.')
    case 'POST /decode':
    case 'POST /encode': {
      const convert = what === 'POST /decode' ? options.codec.decode : options.codec.encode
      const payloads = payloadsIn(await bodyOf(request, MOST_BYTES))
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

async function bodyOf(request: IncomingMessage, most: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > most) throw new Error(`a body of more than ${most} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const bearerOf = ({ headers }: IncomingMessage): string => /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
const cookieOf = ({ headers }: IncomingMessage): string =>
  new RegExp(`(?:^|; )${COOKIE}=([^;]+)`).exec(headers.cookie ?? '')?.[1] ?? ''

/** Who may come in. */
class Door {
  readonly #tokens: ReadonlyMap<string, string>
  /** The hash of what a cookie holds → who logged in, and until when. A cookie goes to every port of the host: it is no token. */
  readonly #sessions = new Map<string, { name: string; until: number }>()
  #guesses: number[] = []

  constructor(tokens: ReadonlyMap<string, string>) {
    this.#tokens = tokens
  }

  /** Compared in the same time, whatever was shown. */
  whoHas(token: string): string | undefined {
    let found: string | undefined
    for (const [name, one] of this.#tokens) if (timingSafeEqual(hash(one), hash(token))) found = name
    return token === '' ? undefined : found
  }

  behind(cookie: string): string | undefined {
    const session = this.#sessions.get(hash(cookie).toString('hex'))
    return session && session.until > Date.now() ? session.name : undefined
  }

  /** What the cookie of who logged in holds. */
  letIn(name: string): string {
    const cookie = randomBytes(32).toString('base64url')
    for (const [key, { until }] of this.#sessions) if (until < Date.now()) this.#sessions.delete(key)
    this.#sessions.set(hash(cookie).toString('hex'), { name, until: Date.now() + SESSION_MS })
    return cookie
  }

  guessed(): void {
    this.#guesses.push(Date.now())
  }

  /** Too many have guessed: whoever has no right token is not listened to for a while. */
  get isShut(): boolean {
    this.#guesses = this.#guesses.filter((at) => at > Date.now() - 60_000)
    return this.#guesses.length >= WRONG_TOKENS
  }
}

const hash = (text: string): Buffer => createHash('sha256').update(text).digest()

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
