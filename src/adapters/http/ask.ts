import { excerpt } from '../../domain/excerpt.js'
import { withDeadline } from '../process/deadline.js'
import { leadsAstray } from './address.js'

/** One request to a URL of the configuration. */
export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  url: string
  /** They may hold secrets: their values are redacted wherever an answer is shown. */
  headers: Readonly<Record<string, string>>
  /** Sent as JSON; undefined: no body. */
  json?: unknown
  timeoutMs: number
  secrets: readonly string[]
  /** Called when nothing is left to do but to send: the place for a fence's check. What it throws is thrown as it is. */
  before?: () => Promise<void>
}

export interface HttpAnswer {
  /** A redirect is an answer like any other: it is never followed. */
  status: number
  headers: Headers
  /** At most 64 KiB of it. It may hold secrets: show `shown` instead. */
  body: string
  /** `HTTP 503: <the body's beginning, redacted>`. */
  shown: string
}

/** No answer came. `message` says why, without a secret; the original error may hold some and is not kept. */
export class HttpUnanswered extends Error {
  override readonly name = 'HttpUnanswered'
}

const BODY_BYTES = 65_536
/** A header this short is no secret, and replacing it would make messages unreadable. */
const SECRET_LENGTH = 6

/** Asks once. Throws `HttpUnanswered`, and the signal's reason when that aborts. */
export async function ask(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
  const bounded = withDeadline(signal, request.timeoutMs)
  const fail = (error: unknown): never => {
    signal.throwIfAborted()
    throw bounded.aborted ? new HttpUnanswered(`no answer within ${request.timeoutMs} ms`) : unanswered(error)
  }
  const prepared = await prepare(request, bounded).catch(fail)
  await request.before?.()
  return send(prepared, hiddenOf(request)).catch(fail)
}

/** Where a request goes, for messages: neither user, password nor query. */
export function whereOf(url: string): string {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

async function prepare(request: HttpRequest, signal: AbortSignal): Promise<Request> {
  const url = new URL(request.url)
  const headers = new Headers({ connection: 'close', ...request.headers })
  if (url.username || url.password) headers.set('authorization', basic(url))
  url.username = ''
  url.password = ''
  if (await settled(leadsAstray(url.hostname), signal)) throw new HttpUnanswered('a link-local address is never asked')
  if (request.json !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json')
  const body = request.json === undefined ? null : JSON.stringify(request.json)
  return new Request(url, { method: request.method, headers, body, redirect: 'manual', signal })
}

const basic = (url: URL): string =>
  `Basic ${Buffer.from(`${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`).toString('base64')}`

async function send(request: Request, hidden: readonly string[]): Promise<HttpAnswer> {
  const response = await fetch(request)
  const body = await bodyOf(response)
  const said = excerpt(body, hidden)
  const { status, headers } = response
  return { status, headers, body, shown: said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}` }
}

/** Reads on for as long as the request's signal allows, but never more than the limit. */
async function bodyOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  const stream: AsyncIterable<Uint8Array> = response.body ?? new Blob([]).stream()
  for await (const chunk of stream) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= BODY_BYTES) break
  }
  return new TextDecoder().decode(Buffer.concat(chunks).subarray(0, BODY_BYTES))
}

/** The secrets that an answer may echo: the known ones, and all that this request was sent with. */
function hiddenOf({ url, headers, secrets }: HttpRequest): string[] {
  const { password, searchParams } = new URL(url)
  const sent = [...Object.values(headers), ...searchParams.values(), password].flatMap((value) => [
    value,
    value.replace(/^\S+\s+/, ''),
  ])
  return [...secrets, ...sent.filter((value) => value.length >= SECRET_LENGTH)]
}

const WORDS: Record<string, string> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed before the answer',
  UND_ERR_SOCKET: 'connection closed before the answer',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name server does not answer',
}

/** fetch hides the reason in the cause; its own messages may quote headers and URLs. */
function unanswered(error: unknown): HttpUnanswered {
  if (error instanceof HttpUnanswered) return error
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = reason instanceof Error && 'code' in reason ? String(reason.code) : ''
  if (/^[A-Z][A-Z0-9_]*$/.test(code)) return new HttpUnanswered(WORDS[code] ?? code)
  const isBadPort = reason instanceof Error && reason.message === 'bad port'
  return new HttpUnanswered(isBadPort ? 'a port that HTTP clients refuse' : 'the request could not be made')
}

/** Waits for what cannot be aborted itself. */
async function settled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', stop))
}
