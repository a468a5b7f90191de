import { constants, open } from 'node:fs/promises'
import { dirname, normalize, resolve } from 'node:path'
import { failure } from '../../domain/failures.js'
import { problemsFailure } from './problem.js'
import { readYaml } from './read-yaml.js'
import { isWrittenMap, type WrittenMap } from './written.js'

const MOST_BYTES = 1024 * 1024

/** For who has none yet, or stands elsewhere. */
const MISSING = {
  hint: 'go to the folder that holds it, name it with --config, or write it: four lines are enough',
  evidence: 'name: shop\nenvironments:\n  staging:\n    url: ${env:STAGING_DATABASE_URL}',
}

/** A `headgate.yaml` that is YAML and a mapping; nothing in it is checked yet. */
export interface ConfigurationSource {
  /** As it was asked for: messages start with it. */
  file: string
  /** Its folder, absolute: relative paths in the file start there. */
  folder: string
  root: WrittenMap
}

interface Read {
  text: string
  source: ConfigurationSource
}

/** Each step reads the file anew: what it says is worked out once for as long as it says the same. */
const lastRead = new Map<string, Read>()

/** Reads the file. Throws `ConfigurationInvalid` where it is missing, no regular file, above 1 MiB, not UTF-8, or not one YAML mapping. */
export async function readConfigurationFile(path: string): Promise<ConfigurationSource> {
  const file = normalize(path)
  const at = resolve(file)
  const text = decode(file, await readBytes(file))
  const last = lastRead.get(at)
  if (last?.text === text && last.source.file === file) return last.source
  const source = parseConfiguration(text, file)
  lastRead.set(at, { text, source })
  return source
}

/** The same from text: `file` is for messages and relative paths. */
export function parseConfiguration(text: string, file: string): ConfigurationSource {
  const { root, problems } = readYaml(text)
  if (problems.length > 0) throw problemsFailure('ConfigurationInvalid', file, problems)
  if (!isWrittenMap(root)) {
    const problem = { at: root?.at, text: 'the file must be a mapping with `name` and `environments`' }
    throw problemsFailure('ConfigurationInvalid', file, [problem])
  }
  return { file, folder: dirname(resolve(file)), root }
}

async function readBytes(file: string): Promise<Uint8Array> {
  // Without O_NONBLOCK opening a named pipe waits for a writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw failure('ConfigurationInvalid', `${file}: ${whyUnreadable(error)}`, error, isMissing ? MISSING : {})
  })
  try {
    if (!(await handle.stat()).isFile()) throw failure('ConfigurationInvalid', `${file}: not a file`)
    const buffer = new Uint8Array(MOST_BYTES + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      ;({ bytesRead: read } = await handle.read(buffer, length, buffer.length - length))
    }
    if (length > MOST_BYTES) throw failure('ConfigurationInvalid', `${file}: larger than 1 MiB`)
    return buffer.subarray(0, length)
  } finally {
    await handle.close()
  }
}

/** In words, for the reasons that occur; the system's code for the others. */
export function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  const words: Record<string, string> = { ENOENT: 'no such file', EACCES: 'no right to read it', EISDIR: 'not a file' }
  return words[code] ?? `cannot be read (${code})`
}

function decode(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw failure('ConfigurationInvalid', `${file}: not UTF-8 text`, error)
  }
}
