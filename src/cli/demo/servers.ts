import { join } from 'node:path'
import { makeDemoFolder, removeDemoFolder } from '../../adapters/process/demo-folder.js'
import { type PostgresBinaries, type PostgresServer, startPostgres } from '../../adapters/process/postgres-server.js'
import { findPostgres, findTemporal } from '../../adapters/process/provision.js'
import { startTemporal, type TemporalServer } from '../../adapters/process/temporal-server.js'
import { connectLocal, type Engine } from '../../client/connection.js'
import type { Context } from '../context.js'
import { both, type Endings } from './endings.js'

/** What one demo is given. */
export interface Occasion {
  readonly context: Context
  /** Everything outlives this process. */
  readonly isKept: boolean
  readonly endings: Endings
  /** Aborts when the person wants it to end. */
  readonly signal: AbortSignal
}

export interface Servers {
  readonly folder: string
  readonly postgres: PostgresServer
  readonly binaries: PostgresBinaries
  readonly temporal: TemporalServer
  readonly engine: Engine
}

/** Starts a PostgreSQL and a Temporal for this demo alone. What was started is in `endings`, also when this throws. */
export async function startServers({ context, isKept, endings, signal }: Occasion): Promise<Servers> {
  const { home, cache } = context.settings
  const executable = await findTemporal(cache, context.terminal.note)
  const binaries = await findPostgres(cache, context.terminal.note)
  const folder = await makeDemoFolder(isKept ? home : undefined)
  endings.add('the folder', () => removeDemoFolder(folder))
  const [postgres, temporal] = await both(
    startDatabase(binaries, isKept, endings),
    startEngine(executable, folder, isKept, endings),
  )
  signal.throwIfAborted()
  const engine = await connectLocal(temporal.address)
  endings.add('the connection to Temporal', engine.close)
  return { folder, postgres, binaries, temporal, engine }
}

/** In a folder of its own: as root the server runs as somebody else, to whom our home may be closed. */
async function startDatabase(binaries: PostgresBinaries, detached: boolean, endings: Endings): Promise<PostgresServer> {
  const postgres = await startPostgres({ binaries, detached })
  endings.add('PostgreSQL', () => postgres.stop('immediate'))
  return postgres
}

async function startEngine(
  executable: string,
  folder: string,
  detached: boolean,
  endings: Endings,
): Promise<TemporalServer> {
  const logFile = join(folder, 'logs', 'temporal.log')
  const temporal = await startTemporal({ executable, databaseFile: join(folder, 'temporal.db'), logFile, detached })
  endings.add('Temporal', temporal.stop)
  return temporal
}
