import type { Socket } from 'node:net'
import { failure } from '../../domain/failures.js'

/** One message of PostgreSQL's protocol, version 3 (the manual's chapter *Frontend/Backend Protocol*): its letter, and what follows its length. */
export interface Message {
  type: string
  body: Buffer
}

/** The codes that stand where a version would, in the first message of a connection. */
export const CANCEL_REQUEST = 80_877_102
export const SSL_REQUEST = 80_877_103
export const GSS_REQUEST = 80_877_104

const HEAD_BYTES = 5
/** As the server has it (MAX_STARTUP_PACKET_LENGTH in libpq/pqcomm.h). */
const LONGEST_FIRST = 10_000

/** Cuts what comes from one side into messages. The first of a client's has no letter: it is read with `first`. */
export class MessageReader {
  /** What is longer is not the protocol. */
  longest: number | undefined
  #chunks: Buffer[] = []
  #length = 0

  constructor(longest?: number) {
    this.longest = longest
  }

  add(bytes: Buffer): void {
    this.#chunks.push(bytes)
    this.#length += bytes.length
  }

  /** A startup message; undefined while it is not whole. Throws `DatabaseUnreachable` for what is none. */
  first(): Buffer | undefined {
    if (this.#length < 4) return undefined
    const length = lengthIn(this.#joined(4), 0, 8)
    if (length > LONGEST_FIRST) throw notTheProtocol()
    return this.#take(length)
  }

  /** The next message; undefined while it is not whole. Throws as `first`. */
  next(): Message | undefined {
    if (this.#length < HEAD_BYTES) return undefined
    const length = lengthIn(this.#joined(HEAD_BYTES), 1, 4)
    if (this.longest !== undefined && length > this.longest) throw notTheProtocol()
    const whole = this.#take(1 + length)
    return whole && { type: String.fromCharCode(whole[0] ?? 0), body: whole.subarray(HEAD_BYTES) }
  }

  /** What is there, as it came; nothing is left. */
  rest(): Buffer {
    const all = Buffer.concat(this.#chunks)
    this.#chunks = []
    this.#length = 0
    return all
  }

  /** The first chunk, made as long as is wanted: a large message is put together once. */
  #joined(least: number): Buffer {
    const [first = Buffer.alloc(0)] = this.#chunks
    if (first.length >= least) return first
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all]
    return all
  }

  #take(length: number): Buffer | undefined {
    if (this.#length < length) return undefined
    const joined = this.#joined(length)
    this.#chunks[0] = joined.subarray(length)
    this.#length -= length
    return joined.subarray(0, length)
  }
}

function lengthIn(bytes: Buffer, at: number, least: number): number {
  const length = bytes.readInt32BE(at)
  if (length < least) throw notTheProtocol()
  return length
}

const notTheProtocol = (): Error => failure('DatabaseUnreachable', 'what came is not the protocol of PostgreSQL')

/** Sends it whole. False while the other side has to take what it has been sent already. */
export function send(socket: Socket, { type, body }: Message): boolean {
  const head = Buffer.alloc(HEAD_BYTES)
  head.write(type, 0, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return socket.write(Buffer.concat([head, body]))
}

/** The texts of a message's body, each ended by a zero byte. */
export const texts = (body: Buffer, count: number): string[] => body.toString('utf8').split('\0', count)

const zeroed = (...parts: string[]): Buffer => Buffer.from(parts.map((part) => `${part}\0`).join(''))

/** A text as a simple query. */
export const simpleQuery = (sql: string): Message => ({ type: 'Q', body: zeroed(sql) })

/** A statement without parameters, to be prepared under a name. */
export const parse = (name: string, sql: string): Message => ({
  type: 'P',
  body: Buffer.concat([zeroed(name, sql), Buffer.alloc(2)]),
})

/**
 * A query without parameters in the extended protocol, under a name of its own: an unnamed statement of the client's stays as
 * it is, which a simple query would drop.
 */
export function ownQuery(name: string, sql: string): Message[] {
  const none = Buffer.alloc(2)
  return [
    parse(name, sql),
    { type: 'B', body: Buffer.concat([zeroed(name, name), none, none, none]) },
    { type: 'E', body: Buffer.concat([zeroed(name), Buffer.alloc(4)]) },
    { type: 'C', body: Buffer.concat([Buffer.from('P'), zeroed(name)]) },
    { type: 'C', body: Buffer.concat([Buffer.from('S'), zeroed(name)]) },
    { type: 'S', body: Buffer.alloc(0) },
  ]
}

/** The columns of a row, as texts. */
export function columnsOf({ body }: Message): (string | null)[] {
  const columns: (string | null)[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at)
    at += 4
    columns.push(length < 0 ? null : body.toString('utf8', at, at + length))
    at += Math.max(0, length)
  }
  return columns
}

/** What a client's startup message asks for, by name, in its order; bytes stay what they are (latin1). */
function startupParameters(first: Buffer): [string, string][] {
  const words = first.toString('latin1', 8).split('\0')
  const pairs: [string, string][] = []
  for (let at = 0; words[at]; at += 2) pairs.push([words[at] ?? '', words[at + 1] ?? ''])
  return pairs
}

/** The database that a client's first message asks for: its user's, where it names none. */
export function databaseAsked(first: Buffer): string {
  const asked = new Map(startupParameters(first))
  return Buffer.from(asked.get('database') || (asked.get('user') ?? ''), 'latin1').toString('utf8')
}

/** A client's startup message with these settings, whatever it asked for itself: what stands there wins over its `options`. */
export function withSettings(first: Buffer, settings: Record<string, string>): Buffer {
  const names = new Set(Object.keys(settings).map((name) => name.toLowerCase()))
  const kept = startupParameters(first).filter(([name]) => !names.has(name.toLowerCase()))
  const words = kept.flat().map((word) => Buffer.from(`${word}\0`, 'latin1'))
  const body = Buffer.concat([...words, zeroed(...Object.entries(settings).flat()), Buffer.alloc(1)])
  const head = Buffer.from(first.subarray(0, 8))
  head.writeInt32BE(head.length + body.length, 0)
  return Buffer.concat([head, body])
}

/** An error as a server says it before it hangs up. */
export const fatal = (code: string, text: string): Message => ({
  type: 'E',
  body: Buffer.concat([zeroed('SFATAL', 'VFATAL', `C${code}`, `M${text}`), Buffer.alloc(1)]),
})

const SASL = 10

/**
 * What the server offers for logging in, without what is bound to the TLS of one connection: there are two of them, one on
 * each side.
 */
export function withoutChannelBinding(message: Message): Message {
  if (message.type !== 'R' || message.body.readInt32BE(0) !== SASL) return message
  const offered = message.body.toString('utf8', 4).split('\0').filter(Boolean)
  const kept = offered.filter((mechanism) => !mechanism.endsWith('-PLUS'))
  return { type: 'R', body: Buffer.concat([message.body.subarray(0, 4), zeroed(...kept), Buffer.alloc(1)]) }
}
