import { join } from 'node:path'
import pg from 'pg'
import { failure, knownFailure } from '../../domain/failures.js'
import { onPort } from './free-port.js'
import {
  discardCluster,
  openCluster,
  type PostgresBinaries,
  type PostgresCluster,
  SUPERUSER,
  serverEnvironment,
} from './postgres-cluster.js'
import { type ServerProcess, startServerProcess, untilReady } from './server-process.js'

export type { PostgresBinaries } from './postgres-cluster.js'

export interface PostgresServerOptions {
  /** See `findPostgres`. */
  binaries: PostgresBinaries
  /** Holds the data, the password, the log and the socket; made when missing, kept. Without one: a temporary folder. */
  directory?: string
  port?: number
  /** Of postgresql.conf: `{ fsync: 'off' }`. */
  settings?: Record<string, string>
  /** It stays up when this process ends; otherwise it ends with it. */
  detached?: boolean
}

/** A PostgreSQL server on 127.0.0.1 and a Unix socket, with a password of its own. */
export interface PostgresServer {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** The socket is in it too. */
  readonly directory: string
  readonly logFile: string
  /** Of the present process: another one after a restart. */
  readonly pid: number
  /** With the superuser's password in it. */
  url(database: string): string
  /** `fast` ends sessions in order; `immediate` leaves recovery to the next start. Removes a temporary folder. May be called again. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** As a crash would; the folder stays, `restart` recovers. */
  kill(): Promise<void>
  /** Stops it if it runs and starts it again, on the same port and data. Not after `stop` of a temporary one. */
  restart(): Promise<void>
}

const HOST = '127.0.0.1'
const NAME = 'the PostgreSQL server'
const READY_WITHIN_MS = 60_000
const STOP_WITHIN_MS = 30_000
/** A Unix socket's whole path may have 107 bytes; the file's name takes 15 of them. */
const SOCKET_FOLDER_LIMIT = 90
const STILL_IN_USE = /shared memory block .* is still in use|lock file .* already exists/
/** `cannot_connect_now`: starting up or recovering. */
const STARTING = '57P03'

/** Starts a server and returns once it answers. Throws `DatabaseUnreachable` with the end of its log, `ToolMissing`. */
export async function startPostgres(options: PostgresServerOptions): Promise<PostgresServer> {
  const cluster = await openCluster(options.binaries, options.directory)
  const start = async (port: number) => ({ port, server: await launch(options, cluster, port) })
  const started = await onPort(options.port, start).catch(async (error) => {
    await discardCluster(cluster)
    throw error
  })
  const { port } = started
  let { server } = started
  return {
    host: HOST,
    port,
    user: SUPERUSER,
    password: cluster.password,
    directory: cluster.directory,
    logFile: logOf(cluster),
    get pid() {
      return server.pid
    },
    url: (database) => urlOf(cluster, port, database),
    async stop(mode = 'fast') {
      await server.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT', STOP_WITHIN_MS)
      await discardCluster(cluster)
    },
    kill: () => server.end('SIGKILL', 0),
    async restart() {
      await server.end('SIGINT', STOP_WITHIN_MS)
      server = await relaunch(options, cluster, port)
    },
  }
}

async function launch(options: PostgresServerOptions, cluster: PostgresCluster, port: number): Promise<ServerProcess> {
  const logFile = logOf(cluster)
  const server = await startServerProcess({
    name: NAME,
    command: [join(options.binaries.directory, 'postgres'), ...startArguments(options, cluster, port)],
    env: serverEnvironment(),
    cwd: '/',
    user: cluster.owner,
    logFile,
    endSignal: 'SIGINT',
    detached: options.detached ?? false,
  })
  const answers = () => answersAt(urlOf(cluster, port, 'postgres'))
  await untilReady(server, { name: NAME, code: 'DatabaseUnreachable', logFile, withinMs: READY_WITHIN_MS, answers })
  return server
}

/** Sessions of a killed server notice its death by themselves; until the last has, the data is theirs. */
async function relaunch(
  options: PostgresServerOptions,
  cluster: PostgresCluster,
  port: number,
): Promise<ServerProcess> {
  const deadline = performance.now() + STOP_WITHIN_MS
  for (;;) {
    try {
      return await launch(options, cluster, port)
    } catch (error) {
      const evidence = knownFailure(error)?.detail.evidence ?? ''
      if (performance.now() > deadline || !STILL_IN_USE.test(evidence)) throw error
    }
  }
}

function startArguments(options: PostgresServerOptions, cluster: PostgresCluster, port: number): string[] {
  const socket = cluster.directory.length > SOCKET_FOLDER_LIMIT ? '' : cluster.directory
  const settings = { ...options.settings, listen_addresses: HOST, port: String(port), unix_socket_directories: socket }
  return ['-D', cluster.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

const logOf = (cluster: PostgresCluster): string => join(cluster.directory, 'server.log')

const urlOf = ({ password }: PostgresCluster, port: number, database: string): string =>
  `postgres://${SUPERUSER}:${password}@${HOST}:${port}/${encodeURIComponent(database)}`

/** True once it lets us in; what it says about the password or the database is thrown, waiting would not change it. */
async function answersAt(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code !== STARTING)
      throw failure('DatabaseUnreachable', `${NAME} refuses us: ${error.message}`, error)
    return false
  } finally {
    await client.end().catch(() => {})
  }
}
