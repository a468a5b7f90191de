import { writeFile } from 'node:fs/promises'
import { Client } from 'pg'
import { startPostgres as startServer } from '../../src/adapters/process/postgres-server.js'
import { cacheFolder, findPostgres } from '../../src/adapters/process/provision.js'

export interface PostgresServer {
  port: number
  /** Ends it at once, and removes it. */
  stop(): Promise<void>
  /** As `pg_ctl stop -m immediate` does: every session is cut off, and the next start recovers. Only with a folder of its own. */
  crash(): Promise<void>
  restart(): Promise<void>
}

const SETTINGS = {
  fsync: 'off',
  max_connections: '200',
  max_prepared_transactions: '10',
  wal_level: 'logical',
  shared_buffers: '128MB',
  autovacuum: 'off',
}

const TRUST = 'local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n'

/** A cluster of its own, in a temporary folder or in `directory`, superuser `postgres`; any password will do. */
export async function startPostgres(
  settings: Record<string, string> = {},
  directory?: string,
): Promise<PostgresServer> {
  const binaries = await findPostgres(cacheFolder(), (doing) => console.log(`postgresql: ${doing}`))
  const server = await startServer({
    binaries,
    settings: { ...SETTINGS, ...settings },
    ...(directory ? { directory } : {}),
  })
  const client = new Client({ connectionString: server.url('postgres') })
  await client.connect()
  const { rows } = await client.query<{ hba_file: string }>('show hba_file')
  await client.end()
  await writeFile(rows[0]?.hba_file ?? '', TRUST)
  await server.restart()
  return {
    port: server.port,
    stop: () => server.stop('immediate'),
    crash: () => server.stop('immediate'),
    restart: () => server.restart(),
  }
}
