import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'vitest'
import { ALEMBIC } from '../support/alembic-release.js'
import { headgate, type Started, startReadyWorker } from '../support/command-line.js'
import { temporalAddress } from '../support/ground.js'
import { startPostgres } from '../support/postgres-server.js'
import { serverBinaries } from '../support/server-binaries.js'
import { HAS_SQLX, SQLX } from '../support/sqlx-release.js'
import { readThrough } from './readme.js'

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url))

/** The reader's own. */
const PLACES = /^export .*\n/gm

test.each(['umzug', 'alembic', ...(HAS_SQLX ? ['sqlx'] : [])])(
  'what the README of examples/%s says is what happens: npx vitest run test/examples/readmes.test.ts -u',
  async (name) => {
    const server = await startPostgres()
    const folder = await mkdtemp(join(tmpdir(), 'headgate-example-'))
    await cp(join(EXAMPLES, name), folder, { recursive: true })
    const at = (database: string): string => `postgres://postgres@127.0.0.1:${server.port}/${database}`
    const env = {
      TEMPORAL_ADDRESS: await temporalAddress(),
      HEADGATE_USER: 'ana',
      STAGING_DATABASE_URL: at('shop'),
      HEADGATE_SCRATCH_URL: at('postgres'),
      PATH: [dirname(ALEMBIC), dirname(SQLX), await serverBinaries(), process.env.PATH].join(':'),
    }
    let worker: Started | undefined
    const run = async (script: string): Promise<void> => {
      const words = ['-euc', script.replace(PLACES, '')]
      await promisify(execFile)('bash', words, { cwd: folder, env: { ...process.env, ...env } })
      worker = await startReadyWorker(folder, env)
    }
    try {
      await readThrough(join(EXAMPLES, name, 'README.md'), { type: (words) => headgate(words, folder, env), run })
    } finally {
      await worker?.stop()
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    }
  },
)
