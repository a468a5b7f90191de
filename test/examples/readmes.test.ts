import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { ALEMBIC } from '../support/alembic-release.js'
import { headgate, startHeadgate } from '../support/command-line.js'
import { temporalAddress } from '../support/ground.js'
import { freePort } from '../support/http-server.js'
import { startPostgres } from '../support/postgres-server.js'
import { serverBinaries } from '../support/server-binaries.js'
import { HAS_SQLX, SQLX } from '../support/sqlx-release.js'

const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url))
const BLOCK = /```(sh|console)\n([\s\S]*?)```/g
async function isReady(url: string): Promise<void> {
  while ((await fetch(url).catch(() => undefined))?.status !== 200) await pause(50)
}

/** The reader's own. */
const PLACES = /^export .*\n/gm

/** What is another one each time, and how wide that makes a column. */
const masked = (text: string): string =>
  text
    .replace(/\b\d+(\.\d+)? [kMGT]?B\b/g, 'SIZE')
    .replace(/\b\d+ min \d\d s\b|\b\d+\.\d s\b/g, 'TIME')
    .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d UTC\b|\b\d\d:\d\d:\d\d\b/g, 'MOMENT')
    .replace(/(?<!\d)\d{8}[-_]\d{6}(-\d+)?(-s\de\d+)?(?!\w)/g, 'STAMP')
    .replace(/\b[0-9a-f]{12}\b/g, 'DIGEST')
    .replace(/_[0-9a-f]{4}\b/g, '_HASH')
    .replace(/127\.0\.0\.1:\d+/g, 'HOST')
    .replace(/PostgreSQL \d+\.\d+( \([^)]*\))?/g, 'PostgreSQL VERSION')
    .replace(/node \d+\.\d+\.\d+/g, 'node VERSION')
    .replace(/ +/g, ' ')

/** Told while it lasts: how often depends on the machine. */
const isProgress = (text: string): boolean =>
  / running {2}/.test(text) ||
  /^(restore into|analyze|compare|copy|rehearse|applying|applied|Applied|Skipped|Running) /.test(text)
const shown = (text: string): string =>
  text
    .split('\n')
    .filter((line) => !isProgress(line) && !line.startsWith('in Temporal: '))
    .join('\n')

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
    const readme = await readFile(join(EXAMPLES, name, 'README.md'), 'utf8')
    let worker: ReturnType<typeof startHeadgate> | undefined
    let text = readme
    try {
      for (const [whole, kind, body = ''] of readme.matchAll(BLOCK)) {
        if (kind === 'sh') {
          const script = body.replace(PLACES, '')
          await promisify(execFile)('bash', ['-euc', script], { cwd: folder, env: { ...process.env, ...env } })
          const health = `127.0.0.1:${await freePort()}`
          worker = startHeadgate(['worker', '--health', health], folder, env)
          await isReady(`http://${health}/readyz`)
          continue
        }
        const typed = body.split('\n').filter((line) => line.startsWith('$ '))
        let said = ''
        for (const line of typed) {
          const [, ...words] = line.slice(2).split(' ')
          const answer = await headgate(words, folder, env)
          expect(answer.exit, answer.text).toBe(0)
          said += `${line}\n${shown(answer.text)}`
        }
        // Where nothing else is said the page stays as it is.
        if (masked(said) !== masked(body)) text = text.replace(whole, () => `\`\`\`console\n${said}\`\`\``)
      }
      await expect(text).toMatchFileSnapshot(join(EXAMPLES, name, 'README.md'))
    } finally {
      await worker?.stop()
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    }
  },
)
