import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder, findTemporal } from '../../src/adapters/process/provision.js'
import { startTemporal, type TemporalServer } from '../../src/adapters/process/temporal-server.js'
import { standOn } from '../support/ground.js'
import { type PostgresServer, startPostgres } from '../support/postgres-server.js'
import { type Relay, startRelay } from './relay.js'

/** Servers of one file's own, which may be killed and come back; what a worker says to them goes through the relays. */
export interface Servers {
  postgres: PostgresServer
  temporal: TemporalServer
  toPostgres: Relay
  toTemporal: Relay
  end(): Promise<void>
}

/** Starts them, and lets this file stand on them. */
export async function startServers(): Promise<Servers> {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-faults-'))
  // PostgreSQL runs as another user.
  await chmod(folder, 0o755)
  const postgres = await startPostgres({}, join(folder, 'postgres'))
  const temporal = await startTemporal({
    executable: await findTemporal(cacheFolder(), (doing) => console.log(`temporal: ${doing}`)),
    databaseFile: join(folder, 'temporal.db'),
    logFile: join(folder, 'temporal.log'),
    headless: true,
  })
  const toPostgres = await startRelay(postgres.port)
  const toTemporal = await startRelay(Number(temporal.address.split(':')[1]))
  standOn({ postgresPort: postgres.port, temporal: temporal.address })
  return {
    ...{ postgres, temporal, toPostgres, toTemporal },
    end: async () => {
      await Promise.all([toPostgres.end(), toTemporal.end(), postgres.stop(), temporal.kill()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}
