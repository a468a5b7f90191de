import type { Readable } from 'node:stream'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { childEnvironment, secretsOf } from './environment.js'
import { LogFile } from './log-file.js'
import { ATTEMPT_VARIABLE, endGroup, endWithUs, startTimeOf } from './process-group.js'
import { Reading } from './reading.js'
import { type Child, prepareSpawn } from './spawn.js'

/** How to run one program. No shell: `command` is an argument array. */
export interface RunRequest {
  /** For messages and the log's name: `alembic upgrade`. */
  name: string
  command: readonly string[]
  /** Added to the allow-listed environment; values of names that sound secret are redacted wherever output is kept. */
  env?: Record<string, string>
  cwd?: string
  /** Folders of this machine that it works in: where it runs in a container they are there by the same path. */
  folders?: readonly string[]
  /** Written to its standard input, then closed. Under a fence: only once the process is recorded. */
  input?: string
  /** What it reads on file descriptor 3, as it comes. What a program starts itself does not have it, unlike its standard input. */
  answers?: Readable
  timeoutMs?: number
  /** How long the group may take to end after TERM before it is killed; default 5 s. */
  graceMs?: number
  /** Folder for the whole output; without one only the tail is kept. */
  logDirectory?: string
  /** Each line of both outputs, redacted, control characters removed. Must not throw. */
  onLine?: (line: string) => void
  /** Each line of standard output as printed, for parsing: it may hold secrets, never show it. Must not throw. */
  onAnswer?: (line: string) => void
  secrets?: readonly string[]
  /**
   * What the program leaves running in its group goes on when it ends with exit 0: starting a service is meant to leave a
   * daemon behind. The daemon may have inherited both outputs: they must not be pipes that break once nobody reads them.
   * On any other end (exit code, timeout, abort) the whole group is ended all the same.
   */
  keepsChildren?: boolean
}

export interface ProgramResult {
  /** 128 and the signal's number when a signal ended it. */
  exitCode: number
  /** Last 8 KiB of each, redacted, control characters removed. */
  stdout: string
  stderr: string
  /** The whole output, where it was asked for and could be written. */
  log: string | undefined
}
export type { Fence }

const GRACE_MS = 5_000

/**
 * Runs a program that only looks. Its exit code is the caller's to judge. Throws `ToolMissing`, `ToolTimedOut`, and the
 * signal's reason when that aborts. In every case nothing of its process group is left: a daemon has to leave the group.
 */
export async function runProgram(request: RunRequest, signal: AbortSignal): Promise<ProgramResult> {
  const prepared = await prepare(request, false)
  return attend(
    request,
    prepared,
    signal,
    async () => signal.throwIfAborted(),
    async () => {},
  )
}

/**
 * Runs a program that changes something: checks the fence, spawns at once, records the process group, lets it begin, and ends it as soon
 * as the fence's signal aborts. Throws as `runProgram` does, and what the fence throws.
 */
export async function runFenced(request: RunRequest, fence: Fence): Promise<ProgramResult> {
  // A child of its own may outlive it, and is known by this.
  const named = request.keepsChildren ? request.env : { ...request.env, [ATTEMPT_VARIABLE]: fence.applicationName }
  const prepared = await prepare({ ...request, ...(named && { env: named }) }, true)
  const record = (pid: number) => fence.recordProcess(pid, startTimeOf(pid))
  return attend(request, prepared, fence.signal, () => fence.check(), record)
}

interface Prepared {
  spawn: () => Child
  log: LogFile
}

async function prepare(request: RunRequest, waits: boolean): Promise<Prepared> {
  const spawn = await prepareSpawn(request.command, request.cwd ?? process.cwd(), childEnvironment(request.env), {
    ...request,
    waits,
  })
  return { spawn, log: await LogFile.open(request.logDirectory, request.name) }
}

async function attend(
  request: RunRequest,
  { spawn, log }: Prepared,
  signal: AbortSignal,
  check: () => Promise<void>,
  record: (pid: number) => Promise<void>,
): Promise<ProgramResult> {
  try {
    await check()
    const child = spawn()
    const reading = new Reading(child, [...(request.secrets ?? []), ...secretsOf(request.env)], log, request)
    const exitCode = await exitOf(request, child, signal, record).finally(() => reading.end())
    return { exitCode, ...(await reading.end()), log: log.path }
  } finally {
    await log.close()
  }
}

/** Waits for the program, and for the end of its whole group unless that is to be kept. */
async function exitOf(
  request: RunRequest,
  child: Child,
  signal: AbortSignal,
  record: (pid: number) => Promise<void>,
): Promise<number> {
  const stop = stopper(request, signal)
  const letBe = endWithUs(child.pid)
  let ended: number | undefined
  try {
    await Promise.race([record(child.pid), stop.reason])
    child.begin()
    child.feed(request.input ?? '')
    ended = await Promise.race([child.exited, stop.reason])
    return ended
  } finally {
    stop.forget()
    if (ended !== 0 || !request.keepsChildren) await endGroup(child.pid, request.graceMs ?? GRACE_MS).finally(letBe)
    letBe()
    await child.exited
  }
}

/** `reason` rejects when the program has to end before its time. */
function stopper({ name, timeoutMs }: RunRequest, signal: AbortSignal): { reason: Promise<never>; forget: () => void } {
  let forget = (): void => {}
  const reason = new Promise<never>((_, reject) => {
    const abort = (): void => reject(signal.reason)
    const late = (): void => reject(failure('ToolTimedOut', `${name} did not end within ${timeoutMs} ms`))
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    forget = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  })
  reason.catch(() => {})
  return { reason, forget }
}
