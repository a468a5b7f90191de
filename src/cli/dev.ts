import { join } from 'node:path'
import type { Command } from 'commander'
import { projectName, readConfigurationFile } from '../adapters/configuration/index.js'
import {
  type DevRecord,
  prepareHome,
  readDevRecord,
  removeDevRecord,
  writeDevRecord,
} from '../adapters/process/dev-record.js'
import { onPort } from '../adapters/process/free-port.js'
import { findTemporal } from '../adapters/process/provision.js'
import { startTemporal, type TemporalServer } from '../adapters/process/temporal-server.js'
import { isTemporalConfigured } from '../client/connection.js'
import { EXIT } from '../domain/outcome.js'
import { type RunningWorker, startWorker } from '../worker/worker.js'
import type { Context } from './context.js'
import { whenToldToEnd } from './leaving.js'
import { stopInOrder } from './worker.js'

/** Where Temporal's own tools look for it; another one where these are taken. */
const PORT = 7233
const UI_PORT = 8233

export function define(command: Command): void {
  command.description(
    'Starts a Temporal server with its UI and a worker for headgate.yaml, both in this process; Ctrl-C stops both. Runs survive in HEADGATE_HOME.',
  )
}

export async function run(context: Context): Promise<number> {
  const { settings, terminal } = context
  // Before anything is started: what is wrong in the file is said at once.
  const source = await readConfigurationFile(settings.config)
  const project = projectName(source)
  const other = isTemporalConfigured() ? undefined : await readDevRecord(settings.home)
  if (other?.project === project) {
    terminal.note(
      `headgate dev runs already for ${project}: process ${other.pid}, Temporal ${other.address}, ${other.ui ?? 'no UI'}`,
    )
    return EXIT.done
  }
  let worker: RunningWorker | undefined
  // Until the end: whoever is impatient while the server ends must not leave it behind.
  const forget = whenToldToEnd(() => (worker ? stopInOrder(worker, terminal.note) : process.exit(EXIT.viewerLeft)))
  const server = other || isTemporalConfigured() ? undefined : await startServer(context)
  try {
    const address = server?.address ?? other?.address
    if (server) await writeDevRecord(settings.home, recordOf(server, project))
    terminal.note(
      `Temporal  ${address ?? 'as TEMPORAL_* says'}${(server?.uiUrl ?? other?.ui) ? `, UI ${server?.uiUrl ?? other?.ui}` : ''}`,
    )
    worker = await startWorker({ settings, ...(address === undefined ? {} : { address }), onLine: terminal.note })
    const [first] = worker.ready
    terminal.note(
      first === undefined
        ? 'next      set what is missing, then start headgate dev again'
        : `next      headgate deploy ${first} --tag TAG, in another terminal`,
    )
    await worker.ended
  } finally {
    await removeDevRecord(settings.home, process.pid)
    await server?.stop()
    forget()
  }
  return EXIT.done
}

async function startServer({ settings: { home, cache }, terminal }: Context): Promise<TemporalServer> {
  const executable = await findTemporal(cache, (doing) => terminal.note(`Temporal  ${doing}`))
  await prepareHome(home)
  const [port, uiPort] = await Promise.all(
    [PORT, UI_PORT].map((wanted) => onPort(wanted, async (free) => free).catch(() => undefined)),
  )
  return startTemporal({
    executable,
    databaseFile: join(home, 'temporal.db'),
    logFile: join(home, 'logs', 'temporal.log'),
    ...(port === undefined ? {} : { port }),
    ...(uiPort === undefined ? {} : { uiPort }),
  })
}

const recordOf = ({ address, uiUrl }: TemporalServer, project: string): DevRecord => ({
  address,
  pid: process.pid,
  project,
  ...(uiUrl === undefined ? {} : { ui: uiUrl }),
})
