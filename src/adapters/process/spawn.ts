import { closeSync, createWriteStream, mkdtempSync, openSync, read, rmSync, type WriteStream } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { execa } from 'execa'
import { failure } from '../../domain/failures.js'
import { childEnvironment, findProgram } from './environment.js'

export interface Child {
  pid: number
  stdout: Readable
  stderr: Readable
  /** Resolves with the exit code; 128 and the signal's number when a signal ended it. */
  exited: Promise<number>
  /** Lets one that waits for it begin. */
  begin(): void
  /** Writes its standard input and closes it. A program that does not read it is no failure. */
  feed(input: string): void
}

/** A group of its own; not cleaned up by execa, which would miss the group; nothing of our environment by itself. */
const OPTIONS = {
  detached: true,
  cleanup: false,
  extendEnv: false,
  reject: false,
  buffer: false,
} as const

/** How one is started. */
interface SpawnOptions {
  keepsChildren?: boolean
  answers?: Readable
  /** It does nothing before `begin`, and never where we are gone before. */
  waits?: boolean
}

/**
 * Finds the program and gives back the spawn itself, so that nothing slow comes between a fence's check and the effect.
 * Throws `ToolMissing`.
 */
export async function prepareSpawn(
  command: readonly string[],
  cwd: string,
  env: Record<string, string>,
  { keepsChildren = false, answers, waits = false }: SpawnOptions = {},
): Promise<() => Child> {
  const [name = '', ...args] = command
  const program = await findProgram(name, env, cwd)
  const wrapper = await parentDeathWrapper()
  const gate = waits ? (answers ? 4 : 3) : undefined
  const waiting =
    gate === undefined ? [] : [await findProgram('sh', childEnvironment(), '/'), '-c', beginsBy(gate), 'sh']
  const all = [...wrapper, ...waiting, program, ...args]
  return () => spawn(all, cwd, env, keepsChildren ? [nameless(), nameless()] : undefined, { answers, gate })
}

/** Waits for a line on a file descriptor that only we can write to, and becomes the program: without the line it ends. */
const beginsBy = (fd: number): string => `read -r _ <&${fd} || exit 125; exec "$@" ${fd}<&-`

function spawn(
  [file = '', ...args]: string[],
  cwd: string,
  env: Record<string, string>,
  files: [number, number] | undefined,
  { answers, gate }: { answers: Readable | undefined; gate: number | undefined },
): Child {
  const [out, error] = files ? [inherited(files[0]), inherited(files[1])] : (['pipe', 'pipe'] as const)
  const more = [...(answers ? [['pipe', answers] as const] : []), ...(gate === undefined ? [] : (['pipe'] as const))]
  const stdio = ['pipe', out, error, ...more] as const
  const child = execa(file, args, { ...OPTIONS, cwd, env, stdio })
  child.catch(() => {})
  const { pid, stdin } = child
  if (pid === undefined) {
    for (const fd of files ?? []) closeSync(fd)
    throw failure('ToolMissing', `${file} could not be started in ${cwd}`)
  }
  stdin?.on('error', () => {})
  const go = gate === undefined ? undefined : child.stdio[gate]
  go?.on('error', () => {})
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
  const stream = (output: Readable | null, fd: number | undefined): Readable =>
    output ?? Readable.from(fd === undefined ? [] : writtenBefore(exited, fd), { objectMode: false })
  return {
    pid,
    stdout: stream(child.stdout, files?.[0]),
    stderr: stream(child.stderr, files?.[1]),
    exited,
    begin: () => {
      if (go && 'end' in go) go.end('\n')
    },
    feed: (input) => stdin?.end(input),
  }
}

/** A file without a name: whoever inherits it may write to it for as long as he lives, and nothing is left of it after that. */
function nameless(): number {
  const folder = mkdtempSync(join(tmpdir(), 'headgate-output-'))
  try {
    return openSync(join(folder, 'output'), 'ax+', 0o600)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A stream of a file is handed to the child as it is; never written to or closed here. */
const inherited = (fd: number): WriteStream => createWriteStream('', { fd, autoClose: false })

const readAt = promisify(read)

/** What is in the file once the program has ended; what its children write later is theirs. Closes it. */
async function* writtenBefore(exited: Promise<number>, fd: number): AsyncGenerator<Buffer> {
  try {
    await exited
    for (let position = 0; ; ) {
      const { bytesRead, buffer } = await readAt(fd, Buffer.alloc(65_536), 0, 65_536, position)
      if (bytesRead === 0) return
      position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    closeSync(fd)
  }
}

let wrapper: Promise<string[]> | undefined

/** `setpriv --pdeathsig KILL`, where it works (not every setpriv has it): the child then dies with us, whatever ends us. Tried once. */
function parentDeathWrapper(): Promise<string[]> {
  wrapper ??= findWrapper().catch(() => [])
  return wrapper
}

async function findWrapper(): Promise<string[]> {
  const env = childEnvironment()
  const found = [await findProgram('setpriv', env, '/'), '--pdeathsig', 'KILL', '--']
  const [file = '', ...args] = [...found, await findProgram('true', env, '/')]
  const { exitCode } = await execa(file, args, { env, extendEnv: false, reject: false, timeout: 5_000 })
  return exitCode === 0 ? found : []
}
