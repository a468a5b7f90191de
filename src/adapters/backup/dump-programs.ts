import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { withSession } from '../postgres/session.js'
import { libpqEnvironment, type Target } from '../postgres/target.js'
import type { ToolsHost } from './tools-host.js'

/** What both programs need. */
export interface DumpPrograms {
  /** How many tables at a time. */
  jobs: number
  /** Folder for whole outputs. */
  logDirectory?: string
  secrets?: readonly string[]
  host: ToolsHost
  /** Where `pg_dump` and `pg_restore` are; without it they come from the host's PATH. */
  binDirectory?: string
}

/** A table locked exclusively for longer than this makes the dump fail. `pg_dump` resets `lock_timeout`: only its own option holds. */
const LOCK_WAIT_MS = 10_000
/** In a container, too. */
const VERSION_WITHIN_MS = 60_000
const PROGRESS_MS = 2_000
/** The first major version whose server notices by itself that its client is gone. */
const CHECKS_CONNECTION = 14

/** The program's name and version. Throws `BackupFailed` (`pg_restore`: `RestoreFailed`) naming both versions unless it is at least as new as the server, `ToolMissing`. */
export async function requireVersion(
  programs: DumpPrograms,
  name: 'pg_dump' | 'pg_restore',
  server: { serverMajor: number; serverVersion: string },
  signal: AbortSignal,
): Promise<string> {
  const command = [pathOf(programs, name), '--version']
  const { stdout } = await programs.host.run(
    { name: `${name} --version`, command, timeoutMs: VERSION_WITHIN_MS },
    signal,
  )
  const version = /\) (\d+)(\S*)/.exec(stdout)
  if (version && Number(version[1]) >= server.serverMajor) return `${name} ${version[1]}${version[2]}`
  const found = version ? `${version[1]}${version[2]}` : 'of an unknown version'
  const code = name === 'pg_dump' ? 'BackupFailed' : 'RestoreFailed'
  throw failure(code, `${name} is ${found}, older than the server: ${server.serverVersion}`)
}

const WHICH_SERVER = `select pg_postmaster_start_time() at time zone 'UTC' || ' ' || current_database() as which`
const ADDRESS = { hint: 'write tools.container.host and port: the address as the container sees it' }

/**
 * That the programs, where they run in a container, reach the very server that the worker does: by the moment at which it was started.
 * Throws `DatabaseWrong`, and `DatabaseUnreachable` where they reach none.
 */
export async function requireSameServer(programs: DumpPrograms, target: Target, signal: AbortSignal): Promise<void> {
  if (programs.host.isHere) return
  const reached = programs.host.target(target)
  const where = `${reached.host}:${reached.port}`
  const asked = await programs.host.run(
    {
      name: 'psql',
      command: [pathOf(programs, 'psql'), '--no-psqlrc', '--no-password', '-qAt', '--command', WHICH_SERVER],
      env: libpqEnvironment(reached, { applicationName: 'headgate tools', options: {} }),
      timeoutMs: VERSION_WITHIN_MS,
      secrets: programs.secrets ?? [],
    },
    signal,
  )
  if (asked.exitCode !== 0)
    throw failure(
      'DatabaseUnreachable',
      `the tools do not reach the database at ${where} from their container: ${lastLine(asked.stderr)}`,
      undefined,
      ADDRESS,
    )
  const own = await withSession(target, { applicationName: 'headgate tools', readOnly: true }, async (session) => {
    const { rows } = await session.query<{ which: string }>(WHICH_SERVER)
    return rows[0]?.which
  })
  if (asked.stdout.trim() === own) return
  throw failure(
    'DatabaseWrong',
    `the tools reach another database at ${where} from their container than the worker at ${target.host}:${target.port}`,
    undefined,
    ADDRESS,
  )
}

/** Dumps the database into the folder, as of the exported `snapshot`. Throws `BackupFailed`. */
export async function dumpInto(
  programs: DumpPrograms,
  source: { target: Target; serverMajor: number; snapshot: string },
  folder: string,
  fence: Fence,
): Promise<void> {
  const format = ['--format=directory', '--compress=1', `--jobs=${programs.jobs}`, `--file=${folder}`]
  const guard = ['--no-password', `--lock-wait-timeout=${LOCK_WAIT_MS}`, `--snapshot=${source.snapshot}`]
  const stop = everyNow(async () => fence.progress(`dump ${source.target.database}, ${await bytesIn(folder)} bytes`))
  const ended = await programs.host
    .runFenced(
      {
        name: 'pg_dump',
        command: [pathOf(programs, 'pg_dump'), ...format, ...guard],
        folders: [folder],
        ...settingsOf(programs, source.target, source.serverMajor, fence),
      },
      fence,
    )
    .finally(stop)
  if (ended.exitCode === 0) return
  throw failure(
    'BackupFailed',
    `pg_dump of ${source.target.database} into ${folder} ended with ${ended.exitCode}: ${lastLine(ended.stderr)}`,
    undefined,
    {
      evidence: ended.stderr,
    },
  )
}

/** Restores the folder into the empty database of `target`. Throws `RestoreFailed`. */
export async function restoreInto(
  programs: DumpPrograms,
  folder: string,
  into: { target: Target; serverMajor: number },
  fence: Fence,
): Promise<void> {
  // An empty name makes pg_restore connect, and libpq take PGDATABASE: in an argument a name could be read as a connection string.
  const where = ['--dbname=', '--no-password', '--exit-on-error', `--jobs=${programs.jobs}`]
  const ended = await programs.host.runFenced(
    {
      name: 'pg_restore',
      command: [pathOf(programs, 'pg_restore'), ...where, folder],
      folders: [folder],
      ...settingsOf(programs, into.target, into.serverMajor, fence),
    },
    fence,
  )
  if (ended.exitCode === 0) return
  throw failure(
    'RestoreFailed',
    `pg_restore into ${into.target.database} ended with ${ended.exitCode}: ${lastLine(ended.stderr)}`,
    undefined,
    {
      evidence: ended.stderr,
    },
  )
}

const pathOf = ({ binDirectory }: DumpPrograms, name: string): string =>
  binDirectory === undefined ? name : join(binDirectory, name)

function settingsOf({ host, logDirectory, secrets }: DumpPrograms, target: Target, serverMajor: number, fence: Fence) {
  const options = {
    ...(serverMajor >= CHECKS_CONNECTION ? { client_connection_check_interval: '1s' } : {}),
    default_transaction_read_only: 'off',
  }
  return {
    env: libpqEnvironment(host.target(target), { applicationName: fence.applicationName, options }),
    ...(logDirectory === undefined ? {} : { logDirectory }),
    ...(secrets === undefined ? {} : { secrets }),
  }
}

/** What a person should read of a program's last words: the error, not the hint after it. */
function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.find((line) => line.includes('error:')) ?? lines.at(-1) ?? 'it said nothing'
}

function everyNow(work: () => Promise<void>): () => void {
  const timer = setInterval(() => void work().catch(() => {}), PROGRESS_MS)
  return () => clearInterval(timer)
}

async function bytesIn(folder: string): Promise<number> {
  const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
