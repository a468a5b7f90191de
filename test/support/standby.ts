import { execFile } from 'node:child_process'
import { chown, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startPostgres as startServer } from '../../src/adapters/process/postgres-server.js'
import { cacheFolder, findPostgres } from '../../src/adapters/process/provision.js'

/** A streaming standby of the server on `primaryPort`. Its user may do what the primary's may. */
export async function startStandby(
  primaryPort: number,
  name: string,
): Promise<{ port: number; url: string; stop: () => Promise<void> }> {
  const binaries = await findPostgres(cacheFolder(), () => {})
  const directory = await mkdtemp(join(tmpdir(), 'headgate-standby-'))
  const data = join(directory, 'data')
  const from = ['--host=127.0.0.1', `--port=${primaryPort}`, '--username=postgres']
  await promisify(execFile)(join(binaries.directory, 'pg_basebackup'), [
    ...from,
    `--pgdata=${data}`,
    '--no-sync',
    '--checkpoint=fast',
  ])
  await writeFile(join(data, 'standby.signal'), '')
  await writeFile(join(directory, 'password'), 'any-password-will-do', { mode: 0o600 })
  await give(directory)
  const settings = {
    primary_conninfo: `host=127.0.0.1 port=${primaryPort} user=postgres application_name=${name}`,
    ...{ hot_standby: 'on', max_connections: '200', max_prepared_transactions: '10', fsync: 'off' },
    ...{ wal_receiver_status_interval: '1s' },
  }
  const server = await startServer({ binaries, directory, settings })
  return {
    port: server.port,
    url: server.url('postgres'),
    async stop() {
      await server.stop('immediate')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Root's copy to whom servers run as there: the owner of any other cluster that the tests have started. */
async function give(directory: string): Promise<void> {
  if (process.getuid?.() !== 0) return
  const others = (await readdir(tmpdir())).filter((name) => name.startsWith('headgate-postgres-'))
  const owners = await Promise.all(others.map((name) => stat(join(tmpdir(), name)).catch(() => undefined)))
  const owner = owners.find((found) => found !== undefined && found.uid !== 0)
  if (!owner) return
  await promisify(execFile)('chown', ['-R', `${owner.uid}:${owner.gid}`, directory])
  await chown(directory, owner.uid, owner.gid)
}
