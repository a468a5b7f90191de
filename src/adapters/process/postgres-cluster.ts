import { randomBytes } from 'node:crypto'
import { access, chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { failure } from '../../domain/failures.js'
import { childEnvironment } from './environment.js'
import type { SystemUser } from './server-process.js'

/** Where a server's programs are. */
export interface PostgresBinaries {
  /** Holds `initdb`, `postgres`, `pg_dump` and `pg_restore`. */
  readonly directory: string
  /** `15.18`. */
  readonly version: string
}

export const SUPERUSER = 'postgres'

/** A database cluster on disk, made once. */
export interface PostgresCluster {
  readonly directory: string
  readonly data: string
  /** Of the superuser; in the file `password` beside the data. */
  readonly password: string
  readonly owner: SystemUser | undefined
  /** Made by us in the folder for temporary files: goes when the server stops. */
  readonly isTemporary: boolean
}

/** Opens the cluster in `directory`, making it first if need be. Throws `ToolMissing` and, when initdb refuses, `DatabaseUnreachable`. */
export async function openCluster(binaries: PostgresBinaries, directory: string | undefined): Promise<PostgresCluster> {
  const owner = await serverUser()
  await checkRuns(binaries, owner)
  const base = directory ?? (await mkdtemp(join(tmpdir(), 'headgate-postgres-')))
  await mkdir(base, { recursive: true })
  const cluster = { directory: base, data: join(base, 'data'), owner, isTemporary: directory === undefined }
  const passwordFile = join(base, 'password')
  if (await exists(join(cluster.data, 'PG_VERSION')))
    return { ...cluster, password: await readFile(passwordFile, 'utf8') }

  const password = randomBytes(24).toString('base64url')
  await writeFile(passwordFile, password, { mode: 0o600 })
  for (const path of owner ? [base, passwordFile] : []) await chown(path, owner?.uid ?? -1, owner?.gid ?? -1)
  await chmod(base, 0o700)
  await initialise(binaries, cluster, passwordFile).catch(async (error) => {
    // Ctrl-C in a terminal ends initdb as well.
    await discardCluster(cluster)
    throw error
  })
  return { ...cluster, password }
}

/** Removes a temporary cluster; leaves any other alone. */
export async function discardCluster(cluster: Omit<PostgresCluster, 'password'>): Promise<void> {
  if (cluster.isTemporary) await rm(cluster.directory, { recursive: true, force: true })
}

async function initialise(
  binaries: PostgresBinaries,
  { data, owner }: Omit<PostgresCluster, 'password'>,
  passwordFile: string,
): Promise<void> {
  const login = [`--username=${SUPERUSER}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  // Without --no-sync it waits seconds for the disk; there is nothing in it yet that could be lost.
  const args = [`--pgdata=${data}`, ...login, '--encoding=UTF8', '--no-locale', '--no-sync']
  const made = await asUser(join(binaries.directory, 'initdb'), args, owner)
  if (!made.failed) return
  throw failure('DatabaseUnreachable', 'initdb could not make a database cluster', made, { evidence: made.all })
}

/** A library that is missing, or a folder closed to the server's user, is better said before anything is made. */
async function checkRuns({ directory }: PostgresBinaries, owner: SystemUser | undefined): Promise<void> {
  const answer = await asUser(join(directory, 'postgres'), ['--version'], owner)
  if (!answer.failed) return
  const who = owner ? `user ${owner.uid}` : 'this user'
  throw failure('ToolMissing', `${directory}/postgres cannot be run by ${who}`, answer, { evidence: answer.all })
}

async function asUser(program: string, args: string[], user: SystemUser | undefined) {
  const options = { all: true, reject: false, extendEnv: false, stdin: 'ignore', cwd: '/' } as const
  return execa(program, args, { ...options, env: serverEnvironment(), ...user })
}

/** None of our PG* variables: they would be taken as settings. */
export const serverEnvironment = (): Record<string, string> => childEnvironment({ HOME: tmpdir() })

/** PostgreSQL refuses to run as root: there it runs as `postgres`, else as `nobody`. */
async function serverUser(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([numberOf('-u', name), numberOf('-g', name)])
    if (uid !== undefined && gid !== undefined) return { uid, gid }
  }
  throw failure('ToolMissing', 'postgresql does not run as root, and there is neither a user postgres nor nobody')
}

async function numberOf(option: '-u' | '-g', name: string): Promise<number | undefined> {
  const answer = await execa('id', [option, name], { reject: false })
  return answer.failed ? undefined : Number(answer.stdout)
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
