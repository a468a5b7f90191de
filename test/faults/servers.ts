import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder, findTemporal } from '../../src/adapters/process/provision.js'
import { startTemporal, type TemporalServer } from '../../src/adapters/process/temporal-server.js'
import { Client } from 'pg'
import { CANARY } from '../support/secret-world.js'
import { serverTarget } from '../support/test-database.js'
import { targetUrl } from '../../src/adapters/postgres/target.js'
import { standOn } from '../support/ground.js'
import { type PostgresServer, startPostgres } from '../support/postgres-server.js'
import { type Relay, startRelay } from './relay.js'

/** The role of the runs: of it the server asks the password, which may change. */
export const ROLE = 'rotated'

/** The password of `ROLE`, from now on. */
export const setPassword = (password: string): Promise<unknown> =>
  asSuperuser(`alter role ${ROLE} password '${password}'`)

async function requirePassword(): Promise<void> {
  await asSuperuser(`create role ${ROLE} superuser login password '${CANARY}'`)
  const [{ file = '' } = {}] = await asSuperuser<{ file: string }>(`select current_setting('hba_file') as file`)
  await writeFile(file, `host all ${ROLE} 127.0.0.1/32 scram-sha-256\n${await readFile(file, 'utf8')}`)
  await asSuperuser('select pg_reload_conf()')
}

async function asSuperuser<Row extends object>(sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: targetUrl(serverTarget()) })
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

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
  await requirePassword()
  return {
    ...{ postgres, temporal, toPostgres, toTemporal },
    end: async () => {
      await Promise.all([toPostgres.end(), toTemporal.end(), postgres.stop(), temporal.kill()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}
