import { readFileSync, statSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { serveCodec } from '../client/codec-server.js'
import { encryption } from '../client/connection.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { whenToldToEnd } from './leaving.js'

const SHORTEST_TOKEN = 24
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])

interface CodecOptions {
  listen: string
  origin: string[]
  tokens?: string
}

export function define(command: Command): void {
  command
    .description(
      "Decrypts what Temporal's UI and command line show, with the keys of HEADGATE_CODEC_KEYS, for whoever has a token. On loopback only: put TLS in front of it for others.",
    )
    .option('--listen <host:port>', 'where', '127.0.0.1:8234')
    .addOption(
      new Option('--origin <url>', "where Temporal's UI is; may be given again")
        .argParser((value: string, before: string[]) => [...before, value])
        .default([]),
    )
    .option('--tokens <file>', 'who may ask: a line for each, a name, a space, a token')
}

export async function run({ terminal }: Context, command: Command): Promise<number> {
  const options = command.opts<CodecOptions>()
  const [, host = '', port = ''] = /^(.*):(\d{1,5})$/.exec(options.listen) ?? []
  if (!LOOPBACK.has(host.replace(/^\[(.*)\]$/, '$1')))
    throw failure('UsageInvalid', `--listen ${options.listen}: only 127.0.0.1, ::1 or localhost, and a port`)
  for (const origin of options.origin)
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw failure('UsageInvalid', `--origin ${origin}: write it like http://127.0.0.1:8233`)
  const { payloadCodecs: [codec] = [], failureConverterPath } = encryption().dataConverter
  if (!codec || !failureConverterPath)
    throw failure('UsageInvalid', 'HEADGATE_CODEC_KEYS is not set: nothing is encrypted')
  const server = await serveCodec(
    { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) },
    {
      codec,
      origins: options.origin,
      tokens: tokensIn(options.tokens),
      onLine: (line) => terminal.note(`${new Date().toISOString()} ${line}`),
    },
  )
  terminal.note(`codec server on http://${host}:${server.port}, log in at http://${host}:${server.port}/login`)
  await new Promise<void>((done) => whenToldToEnd(done))
  await server.close()
  return EXIT.done
}

/** Throws `UsageInvalid`; nothing of a token is ever in a message. */
function tokensIn(file: string | undefined): Map<string, string> {
  if (file === undefined) throw failure('UsageInvalid', '--tokens is missing: who may ask?')
  try {
    if ((statSync(file).mode & 0o077) !== 0)
      throw failure('UsageInvalid', `--tokens ${file}: can be read by others: chmod 600`)
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.replace(/^\s*#.*/, '').trim())
      .filter(Boolean)
    const tokens = lines.map((line, n): [string, string] => {
      const [name = '', token = '', ...more] = line.split(/\s+/)
      if (more.length > 0)
        throw failure('UsageInvalid', `--tokens ${file}: the ${n + 1}. entry is not a name and a token`)
      if (token.length < SHORTEST_TOKEN)
        throw failure('UsageInvalid', `--tokens ${file}: the token of ${name} is shorter than ${SHORTEST_TOKEN}`)
      return [name, token]
    })
    if (tokens.length === 0) throw failure('UsageInvalid', `--tokens ${file}: names nobody`)
    const all = new Map(tokens)
    if (all.size < tokens.length || new Set(all.values()).size < tokens.length)
      throw failure('UsageInvalid', `--tokens ${file}: a name or a token is there twice`)
    return all
  } catch (error) {
    if (error instanceof Error && 'code' in error)
      throw failure('UsageInvalid', `--tokens ${file}: cannot be read (${error.code})`)
    throw error
  }
}
