import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { execa } from 'execa'
import { type FailureCode, failure } from '../../domain/failures.js'
import { findProgram } from './environment.js'

/** An account of this machine, by its numbers. */
export interface SystemUser {
  readonly uid: number
  readonly gid: number
}

/** A program that stays up until it is told to end. */
export interface ServerRequest {
  /** For messages: `the Temporal server`. */
  name: string
  command: readonly [program: string, ...args: string[]]
  /** The whole environment. */
  env: Record<string, string>
  cwd: string
  /** Who it runs as; who we are, when absent. */
  user?: SystemUser | undefined
  /** Both outputs are appended to it. */
  logFile: string
  /** Asks it to end. Also sent when this process is gone, unless `detached`. */
  endSignal: NodeJS.Signals
  /** It stays up when this process ends, and does not keep this process up. */
  detached: boolean
}

export interface ServerProcess {
  readonly pid: number
  readonly isRunning: boolean
  /** Sends `signal`, and KILL when `withinMs` is over; returns once it is gone. May be called again. */
  end(signal: NodeJS.Signals, withinMs: number): Promise<void>
}

const POLL_MS = 25
const LOG_TAIL_CHARS = 4_000

/** In a group of its own: Ctrl-C in the terminal is ours to hear, servers end when we say so, in our order. */
export async function startServerProcess(request: ServerRequest): Promise<ServerProcess> {
  const child = await spawnInto(request)
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const { pid } = child
  if (pid === undefined) throw await notSpawned(request.name, child)

  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  const endWithUs = (): void => void (isRunning() && child.kill(request.endSignal))
  if (request.detached) child.unref()
  else process.once('exit', endWithUs)

  return {
    pid,
    get isRunning() {
      return isRunning()
    },
    async end(signal, withinMs) {
      process.off('exit', endWithUs)
      if (!isRunning()) return
      child.ref()
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), withinMs)
      await exited
      clearTimeout(timer)
    },
  }
}

async function spawnInto(request: ServerRequest): Promise<ChildProcess> {
  const { command, env, cwd, user, logFile, endSignal, detached } = request
  await mkdir(dirname(logFile), { recursive: true })
  const wrapper = detached ? [] : await parentDeathWrapper(endSignal)
  const [program = '', ...args] = [...wrapper, await findProgram(command[0], env, cwd), ...command.slice(1)]
  const log = await open(logFile, 'a', 0o600)
  try {
    return spawn(program, args, { env, cwd, ...user, detached: true, stdio: ['ignore', log.fd, log.fd] })
  } finally {
    await log.close()
  }
}

/** Where the machine can do it, the kernel sends the signal when we are killed and cannot. */
async function parentDeathWrapper(signal: NodeJS.Signals): Promise<string[]> {
  const wrapper = ['setpriv', '--pdeathsig', signal.slice(3), '--'] as const
  const [program, ...args] = [...wrapper, 'true'] as const
  return (await execa(program, args, { reject: false, timeout: 5_000 })).failed ? [] : [...wrapper]
}

async function notSpawned(name: string, child: ChildProcess): Promise<Error> {
  const cause = await new Promise<Error>((resolve) => child.once('error', resolve))
  return failure('ToolMissing', `${name} could not be started: ${cause.message}`, cause)
}

/** What to wait for, and what it means when it does not come. */
export interface Readiness {
  name: string
  code: FailureCode
  logFile: string
  withinMs: number
  answers: () => Promise<boolean>
}

/** Returns once the server answers. Otherwise ends it and throws, with the end of its log as evidence. */
export async function untilReady(server: ServerProcess, readiness: Readiness): Promise<void> {
  const { name, code, logFile, withinMs, answers } = readiness
  const deadline = performance.now() + withinMs
  try {
    while (server.isRunning && performance.now() < deadline) {
      if ((await answers()) && server.isRunning) return
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  } catch (error) {
    await server.end('SIGKILL', 0)
    throw error
  }
  const what = server.isRunning ? `did not answer within ${withinMs / 1000} s` : 'ended as soon as it was started'
  await server.end('SIGKILL', 0)
  throw failure(code, `${name} ${what}`, undefined, { evidence: await endOf(logFile) })
}

const endOf = async (logFile: string): Promise<string> =>
  (await readFile(logFile, 'utf8').catch(() => '')).slice(-LOG_TAIL_CHARS)
