import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DataConverter, Payload, PayloadCodec } from '@temporalio/common'
import { failure } from '../domain/failures.js'
import { temporal } from './temporal-proto.js'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16
/** Of Temporal's samples: its UI and command line know by it that a codec server is needed. */
const ENCRYPTED = 'binary/encrypted'
const { Payload: Wire } = temporal.api.common.v1

interface Key {
  id: string
  bytes: Buffer
}

/**
 * Encrypts what Temporal keeps: inputs, results, details, summaries, memos, failures. AES-256-GCM, a new nonce for each
 * payload, the key's id authenticated with it. Workflow IDs, queues, search attributes and names of steps stay readable.
 */
export class EncryptionCodec implements PayloadCodec {
  readonly #first: Key | undefined
  readonly #keys: ReadonlyMap<string, Key>

  /** The first key encrypts; all of them decrypt, so that keys can be rotated. Without any, what is encrypted is only refused. */
  constructor(keys: readonly Buffer[]) {
    const all = keys.map((bytes) => ({ id: createHash('sha256').update(bytes).digest('hex').slice(0, 8), bytes }))
    this.#keys = new Map(all.map((key) => [key.id, key]))
    this.#first = all[0]
  }

  async encode(payloads: Payload[]): Promise<Payload[]> {
    const key = this.#first
    return key ? payloads.map((payload) => encrypted(payload, key)) : payloads
  }

  /** What was not encrypted stays as it is. Throws `CodecKeyMissing`; what somebody has changed throws too. */
  async decode(payloads: Payload[]): Promise<Payload[]> {
    return payloads.map((payload) =>
      textOf(payload.metadata?.encoding) === ENCRYPTED ? this.#decrypted(payload) : payload,
    )
  }

  #decrypted({ metadata, data }: Payload): Payload {
    const id = textOf(metadata?.['encryption-key-id'])
    const key = this.#keys.get(id)
    if (!key) throw failure('CodecKeyMissing', `this was encrypted with key ${JSON.stringify(id.slice(0, 16))}`)
    const bytes = Buffer.from(data ?? [])
    if (bytes.length < IV_BYTES + TAG_BYTES) throw failure('InputInvalid', 'an encrypted payload is too short')
    const iv = bytes.subarray(0, IV_BYTES)
    const decipher = createDecipheriv(CIPHER, key.bytes, iv, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(id))
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    return Wire.decode(Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]))
  }
}

function encrypted(payload: Payload, { id, bytes }: Key): Payload {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, bytes, iv).setAAD(Buffer.from(id))
  const text = Buffer.concat([cipher.update(Wire.encode(payload).finish()), cipher.final()])
  return {
    metadata: { encoding: Buffer.from(ENCRYPTED), 'encryption-key-id': Buffer.from(id) },
    data: Buffer.concat([iv, text, cipher.getAuthTag()]),
  }
}

const textOf = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString('utf8')

/** Failures are encrypted too: their messages and stacks are payloads then. */
const FAILURES = fileURLToPath(new URL('../workflows/encrypted-failures.js', import.meta.url))

/**
 * As `HEADGATE_CODEC_KEYS` says: a file with a key on each line (32 bytes in base64; # begins a comment), the one that
 * encrypts first. Where it is not set nothing is encrypted, and what is is refused by name. Throws `ConfigurationInvalid`; nothing of a key is ever in a message.
 */
export function dataConverterOf(env: Readonly<Record<string, string | undefined>>): DataConverter {
  const file = env.HEADGATE_CODEC_KEYS
  return file
    ? { payloadCodecs: [new EncryptionCodec(keysIn(file))], failureConverterPath: FAILURES }
    : { payloadCodecs: [new EncryptionCodec([])] }
}

function keysIn(file: string): Buffer[] {
  const wrong = (why: string): Error =>
    failure('ConfigurationInvalid', `HEADGATE_CODEC_KEYS: ${file} ${why}`, undefined, {
      hint: 'one key on each line, the newest first: openssl rand -base64 32',
    })
  let lines: string[]
  try {
    if ((statSync(file).mode & 0o077) !== 0) throw wrong('can be read by others: chmod 600')
    lines = readFileSync(file, 'utf8').split('\n')
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw wrong(`cannot be read (${error.code})`)
    throw error
  }
  const keys = lines
    .map((line) => line.replace(/#.*/, '').trim())
    .filter(Boolean)
    .map((line) => Buffer.from(line, 'base64'))
  const short = keys.findIndex((key) => key.length !== KEY_BYTES)
  if (short >= 0) throw wrong(`has a key that is not ${KEY_BYTES} bytes in base64: the ${short + 1}. one`)
  if (keys.length === 0) throw wrong('has no key')
  return keys
}
