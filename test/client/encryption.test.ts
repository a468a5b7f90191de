import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { defaultPayloadConverter, type Payload } from '@temporalio/common'
import { encodeErrorToFailure } from '@temporalio/common/lib/internal-non-workflow/index.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dataConverterOf, EncryptionCodec } from '../../src/client/encryption.js'
import { messageIn } from '../../src/client/decoding.js'
import { failedWith, failure } from '../../src/domain/failures.js'

/** The SDK loads it by itself. */
const BUILT = fileURLToPath(new URL('../../dist/workflows/encrypted-failures.js', import.meta.url))

const [old, present] = [randomBytes(32), randomBytes(32)]
const payload = defaultPayloadConverter.toPayload({ run: 'staging-1', note: 'orders' })
const plainOf = ([one]: Payload[]): unknown => one && defaultPayloadConverter.fromPayload(one)
const thrown = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe('EncryptionCodec', () => {
  it('gives back what it was given, and nothing of it can be read meanwhile', async () => {
    const codec = new EncryptionCodec([present])
    const encrypted = await codec.encode([payload])
    expect(Buffer.from(encrypted[0]?.data ?? []).toString('latin1')).not.toContain('orders')
    expect(JSON.stringify(encrypted)).not.toContain('json/plain')
    expect(plainOf(await codec.decode(encrypted))).toEqual({ run: 'staging-1', note: 'orders' })
  })

  it('never encrypts the same to the same', async () => {
    const codec = new EncryptionCodec([present])
    const [one, another] = await codec.encode([payload, payload])
    expect(one?.data).not.toEqual(another?.data)
  })

  it('reads what an older key has encrypted, and encrypts with the newest', async () => {
    const before = await new EncryptionCodec([old]).encode([payload])
    const rotated = new EncryptionCodec([present, old])
    expect(plainOf(await rotated.decode(before))).toEqual(plainOf([payload]))
    expect(
      failedWith(await thrown(new EncryptionCodec([old]).decode(await rotated.encode([payload]))), 'CodecKeyMissing'),
    ).toBe(true)
  })

  it('leaves alone what was never encrypted', async () => {
    expect(await new EncryptionCodec([present]).decode([payload])).toEqual([payload])
  })

  it.each([
    [
      'one changed byte',
      (data: Buffer) => Buffer.concat([data.subarray(0, 20), Buffer.from([(data[20] ?? 0) ^ 1]), data.subarray(21)]),
    ],
    ['a cut end', (data: Buffer) => data.subarray(0, -1)],
    ['nothing at all', () => Buffer.alloc(0)],
  ])('refuses %s', async (_, change) => {
    const codec = new EncryptionCodec([present])
    const [one] = await codec.encode([payload])
    const changed = { ...one, data: change(Buffer.from(one?.data ?? [])) }
    expect(await thrown(codec.decode([changed]))).toBeInstanceOf(Error)
  })

  it('refuses the id of another key: it is authenticated', async () => {
    const both = new EncryptionCodec([present, old])
    const [mine] = await both.encode([payload])
    const [theirs] = await new EncryptionCodec([old]).encode([payload])
    expect(await thrown(both.decode([{ ...mine, metadata: theirs?.metadata ?? {} }]))).toBeInstanceOf(Error)
  })
})

describe('HEADGATE_CODEC_KEYS', () => {
  let folder: string
  const file = async (text: string, mode = 0o600): Promise<string> => {
    const path = join(folder, 'keys')
    await writeFile(path, text)
    await chmod(path, mode)
    return path
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headgate-keys-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))
  const wrong = (path: string): string => {
    try {
      dataConverterOf({ HEADGATE_CODEC_KEYS: path })
      return ''
    } catch (error) {
      return error instanceof Error ? error.message : ''
    }
  }

  it('is not needed: then nothing is encrypted, and what is names the key that is missing', async () => {
    const [codec] = dataConverterOf({}).payloadCodecs ?? []
    expect(await codec?.encode([payload])).toEqual([payload])
    const error = await thrown(Promise.resolve(codec?.decode(await new EncryptionCodec([old]).encode([payload]))))
    expect(failedWith(error, 'CodecKeyMissing')).toBe(true)
  })

  it('is a file of keys, the newest first', async () => {
    const path = await file(`# since spring\n${present.toString('base64')}\n\n${old.toString('base64')} # until then\n`)
    const [codec] = dataConverterOf({ HEADGATE_CODEC_KEYS: path }).payloadCodecs ?? []
    expect(plainOf((await codec?.decode(await new EncryptionCodec([old]).encode([payload]))) ?? [])).toEqual(
      plainOf([payload]),
    )
  })

  it.each([
    ['no such file', async () => join(folder, 'nowhere'), 'cannot be read (ENOENT)'],
    ['a file for everybody', () => file(`${present.toString('base64')}\n`, 0o644), 'can be read by others: chmod 600'],
    ['an empty file', () => file('# nothing\n'), 'has no key'],
    ['a short key', () => file(`${present.toString('base64')}\nc2VjcmV0\n`), 'not 32 bytes in base64: the 2. one'],
  ])('says what is wrong with %s, without any key', async (_, path, words) => {
    const message = wrong(await path())
    expect(message).toContain(words)
    expect(message).not.toContain('c2VjcmV0')
  })
})

it('reads a failure with details and causes as the server keeps it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-keys-'))
  const file = join(folder, 'keys')
  await writeFile(file, `${present.toString('base64')}\n`, { mode: 0o600 })
  const dataConverter = { ...dataConverterOf({ HEADGATE_CODEC_KEYS: file }), failureConverterPath: BUILT }
  await rm(folder, { recursive: true })
  // Connects when it is asked something, which it is not.
  const client = new Client({ dataConverter, connection: Connection.lazy() })
  const cause = failure('DatabaseUnreachable', 'no route to the host', new Error('ENETUNREACH'), { evidence: 'ping' })
  const kept = await encodeErrorToFailure(
    client.options.loadedDataConverter,
    failure('MigrationFailed', 'of orders', cause, { evidence: 'line 3' }),
  )
  expect(JSON.stringify(kept)).not.toContain('orders')
  expect(await messageIn(client, kept)).toBe('of orders')
  const other = new Client({ dataConverter: dataConverterOf({}), connection: Connection.lazy() })
  expect(failedWith(await thrown(messageIn(other, kept)), 'CodecKeyMissing')).toBe(true)
})
