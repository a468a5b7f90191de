import { connect } from 'node:net'
import { dirname } from 'node:path'
import { childEnvironment } from './environment.js'
import { freePort, onPort } from './free-port.js'
import { runProgram } from './run.js'
import { type ServerProcess, startServerProcess, untilReady } from './server-process.js'

export interface TemporalServerOptions {
  /** The `temporal` program; see `findTemporal`. */
  executable: string
  /** Runs survive a restart in it; without one they are kept in memory. */
  databaseFile?: string
  port?: number
  uiPort?: number
  /** No web UI. */
  headless?: boolean
  /** Everything the server says is appended to it. */
  logFile: string
  /** It stays up when this process ends; otherwise it ends with it. */
  detached?: boolean
}

/** A Temporal dev server on 127.0.0.1. For one machine and one person: it asks nobody for a password. */
export interface TemporalServer {
  /** `127.0.0.1:7233`, for a client. Stays the same over restarts. */
  readonly address: string
  /** Undefined when headless. */
  readonly uiUrl: string | undefined
  /** Of the present process: another one after a restart. */
  readonly pid: number
  /** Ends it in order (1.5 s). May be called again. */
  stop(): Promise<void>
  /** As a crash would. What is in `databaseFile` stays. */
  kill(): Promise<void>
  /** Stops it if it runs and starts it again, on the same ports and file. */
  restart(): Promise<void>
}

const HOST = '127.0.0.1'
const READY_WITHIN_MS = 30_000
const STOP_WITHIN_MS = 10_000

/** One shard serves 20 transfer tasks a second by default: 100 ms a step. With this and eager dispatch it is under 20 ms. */
const DYNAMIC_CONFIG = ['history.transferProcessorMaxPollRPS=1000', 'system.enableActivityEagerExecution=true']
/** Survives a killed process; the last commits may be lost with the machine's power. */
const PRAGMAS = ['journal_mode=WAL', 'synchronous=1']

/** Starts a dev server and returns once it serves. Throws `TemporalUnreachable` with the end of its log, `ToolMissing`. */
export async function startTemporal(options: TemporalServerOptions): Promise<TemporalServer> {
  const uiPort = options.headless ? undefined : (options.uiPort ?? (await freePort()))
  const started = await onPort(options.port, async (port) => ({ port, server: await launch(options, port, uiPort) }))
  const { port } = started
  let { server } = started
  return {
    address: `${HOST}:${port}`,
    uiUrl: uiPort === undefined ? undefined : `http://${HOST}:${uiPort}`,
    get pid() {
      return server.pid
    },
    stop: () => server.end('SIGTERM', STOP_WITHIN_MS),
    kill: () => server.end('SIGKILL', 0),
    async restart() {
      await server.end('SIGTERM', STOP_WITHIN_MS)
      server = await launch(options, port, uiPort)
    },
  }
}

async function launch(
  options: TemporalServerOptions,
  port: number,
  uiPort: number | undefined,
): Promise<ServerProcess> {
  const { executable, logFile } = options
  const name = 'the Temporal server'
  const server = await startServerProcess({
    name,
    command: [executable, ...startArguments(options, port, uiPort)],
    env: temporalEnvironment(logFile),
    cwd: dirname(logFile),
    logFile,
    endSignal: 'SIGTERM',
    detached: options.detached ?? false,
  })
  const answers = async () => (await accepts(port)) && (await serves(options, port))
  await untilReady(server, { name, code: 'TemporalUnreachable', logFile, withinMs: READY_WITHIN_MS, answers })
  return server
}

function startArguments(options: TemporalServerOptions, port: number, uiPort: number | undefined): string[] {
  const { databaseFile } = options
  return [
    ...['server', 'start-dev', '--ip', HOST, '--port', String(port), '--log-level', 'warn'],
    ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
    ...DYNAMIC_CONFIG.flatMap((setting) => ['--dynamic-config-value', setting]),
    ...(databaseFile ? ['--db-filename', databaseFile, ...PRAGMAS.flatMap((it) => ['--sqlite-pragma', it])] : []),
  ]
}

/** Not the person's own home: profiles kept there may point the program at another server. Nor a folder of everybody's. */
const temporalEnvironment = (logFile: string): Record<string, string> => childEnvironment({ HOME: dirname(logFile) })

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, HOST)
    const answer = (accepted: boolean) => () => {
      socket.destroy()
      resolve(accepted)
    }
    socket.once('connect', answer(true)).once('error', answer(false))
  })

async function serves({ executable, logFile }: TemporalServerOptions, port: number): Promise<boolean> {
  const command = [executable, 'operator', 'cluster', 'health', '--address', `${HOST}:${port}`]
  const request = { name: 'temporal health', command, env: temporalEnvironment(logFile), timeoutMs: READY_WITHIN_MS }
  const { exitCode, stdout } = await runProgram(request, new AbortController().signal)
  return exitCode === 0 && stdout.includes('SERVING')
}
