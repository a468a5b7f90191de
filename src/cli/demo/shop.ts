import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { PostgresServer } from '../../adapters/process/postgres-server.js'
import { runProgram } from '../../adapters/process/run.js'
import { failure } from '../../domain/failures.js'

/** The example that is deployed: its programs, its releases, its headgate.yaml. */
export const SHOP = fileURLToPath(new URL('../../../examples/shop', import.meta.url))
export const DATABASE = 'shop'

const PROGRAM_WITHIN_MS = 60_000
/** Newer versions of pg_dump write a random word into each dump. */
const RANDOM_LINE = /^\\(un)?restrict /
const OBJECT_LINE = /^-- (Data for )?Name: /

const Orders = z.object({
  columns: z.array(z.string()),
  orders: z.object({ count: z.int(), last: z.int(), hash: z.string() }),
})
const Look = Orders.extend({
  release: z.string().nullable(),
  acknowledged: z.int(),
  audit: z.array(z.object({ migration: z.string(), times: z.int() })),
  putAside: z.array(z.string()),
})
export type Look = z.infer<typeof Look>
const Ledger = z.object({ acknowledged: z.int(), found: z.int(), missing: z.array(z.string()) })
export type Ledger = z.infer<typeof Ledger>

/** A schema as pg_dump writes it: equal hashes are equal schemas. */
export interface SchemaPrint {
  objects: number
  hash: string
}

/** The shop of one demo, through its own programs. Every one throws `Unexpected` with what a program said when it failed. */
export interface Shop {
  readonly home: string
  readonly url: string
  readonly consumerPort: number
  /** Of every program of the shop, and of the worker that deploys it. */
  readonly env: Record<string, string>
  /** The database with the schema of release 1, and release 1 serving. */
  open: (signal: AbortSignal) => Promise<void>
  /** What an onlooker sees, orders up to an ID. */
  look: (signal: AbortSignal, upTo?: number) => Promise<Look>
  /** The orders in a database that was put aside, opened for sessions. */
  lookInto: (database: string, signal: AbortSignal) => Promise<z.infer<typeof Orders>>
  schema: (signal: AbortSignal) => Promise<SchemaPrint>
  /** Looks for each acknowledged order in these databases. */
  compare: (databases: readonly string[], signal: AbortSignal) => Promise<Ledger>
  /** Ends the service, whoever started it. */
  stop: () => Promise<void>
}

export function shopOf(
  home: string,
  postgres: PostgresServer,
  binaries: string,
  port: number,
  consumerPort: number,
): Shop {
  const url = `http://127.0.0.1:${port}`
  const env = {
    SHOP_HOME: home,
    SHOP_DATABASE_URL: postgres.url(DATABASE),
    SHOP_URL: url,
    SHOP_CONSUMER_URL: `http://127.0.0.1:${consumerPort}`,
  }
  const ask = (program: string, signal: AbortSignal, ...args: string[]): Promise<unknown> =>
    answerOf(program, args, env, signal)
  return {
    ...{ home, url, consumerPort, env },
    async open(signal) {
      await ask('migrate-release-1', signal)
      await ask('control', signal, 'init', '--port', String(port))
      await ask('control', signal, 'deploy', '1')
    },
    look: async (signal, upTo) =>
      Look.parse(await ask('inspect', signal, ...(upTo === undefined ? [] : ['--orders-up-to', String(upTo)]))),
    lookInto: async (database, signal) => Orders.parse(await ask('inspect', signal, '--database', database)),
    schema: (signal) => schemaOf(join(binaries, 'pg_dump'), postgres, signal),
    compare: async (databases, signal) => {
      const file = join(home, 'acknowledged.txt')
      return Ledger.parse(await ask('ledger', signal, 'compare', '--json', '--acknowledged', file, ...databases))
    },
    stop: () => stopServiceOf(home),
  }
}

/** Ends the service of the shop in this folder, whoever started it. Twice is once. */
export async function stopServiceOf(home: string): Promise<void> {
  await answerOf('control', ['stop'], { SHOP_HOME: home }, AbortSignal.timeout(PROGRAM_WITHIN_MS))
}

/** What a program of the shop answers in JSON; undefined when it does not. */
async function answerOf(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<unknown> {
  const name = `${program} ${args[0] ?? ''}`.trim()
  const command = [process.execPath, join(SHOP, `${program}.mjs`), ...args]
  // Deploying leaves the service behind.
  const request = { name, command, env, timeoutMs: PROGRAM_WITHIN_MS, keepsChildren: true }
  const { exitCode, stdout, stderr } = await runProgram(request, signal)
  // Where orders are missing the ledger answers all the same, with exit 1.
  if (stdout.startsWith('{')) return JSON.parse(stdout)
  if (exitCode === 0) return undefined
  throw failure('Unexpected', `the shop's ${name} ended with exit ${exitCode}`, undefined, { evidence: stderr })
}

async function schemaOf(pgDump: string, postgres: PostgresServer, signal: AbortSignal): Promise<SchemaPrint> {
  const hash = createHash('sha256')
  let objects = 0
  const onAnswer = (line: string): void => {
    if (RANDOM_LINE.test(line)) return
    if (OBJECT_LINE.test(line)) objects += 1
    hash.update(`${line}\n`)
  }
  const { host, port, user, password } = postgres
  const env = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password }
  const command = [pgDump, '--schema-only', DATABASE]
  const { exitCode, stderr } = await runProgram({ name: 'pg_dump', command, env, onAnswer }, signal)
  if (exitCode !== 0)
    throw failure('Unexpected', `pg_dump ended with exit ${exitCode}`, undefined, { evidence: stderr })
  return { objects, hash: hash.digest('hex') }
}
