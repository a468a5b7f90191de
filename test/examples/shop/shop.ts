import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { z } from 'zod'
import { freePort } from '../../support/http-server.js'
import { createDatabase } from '../../support/test-database.js'

export const SHOP = fileURLToPath(new URL('../../../examples/shop/', import.meta.url))

const Body = z.record(z.string(), z.unknown())

export interface Answer {
  status: number
  headers: Headers
  body: Record<string, unknown>
}

export interface Running {
  child: ChildProcess
  /** Sends the signal and returns the exit code once it is gone. */
  end(signal?: NodeJS.Signals): Promise<number | null>
  output(): string
}

/** A shop of its own: a database, a folder, ports. Nothing runs yet, and the database is empty. */
export async function openShop() {
  const database = await createDatabase()
  const home = await mkdtemp(join(tmpdir(), 'headgate-shop-'))
  const [port, consumerPort] = [await freePort(), await freePort()]
  const env = {
    PATH: process.env.PATH ?? '',
    SHOP_HOME: home,
    SHOP_DATABASE_URL: database.url,
    SHOP_URL: `http://127.0.0.1:${port}`,
    SHOP_CONSUMER_URL: `http://127.0.0.1:${consumerPort}`,
  }
  const session = new Client({ connectionString: database.url })
  session.on('error', () => {})
  await session.connect()
  const started: Running[] = []

  const run = (program: string, ...args: string[]) => runProgram(program, args, env)
  const start = (program: string, args: string[], added: Record<string, string> = {}): Running => {
    const running = startProgram(program, args, { ...env, ...added })
    started.push(running)
    return running
  }
  return {
    ...{ database, home, port, env, session, run, start },
    url: env.SHOP_URL,
    consumerUrl: env.SHOP_CONSUMER_URL,
    startService: (release: string) => start('service', ['--release', release, '--port', String(port)]),
    startConsumer: () => start('consumer', ['--port', String(consumerPort)]),
    startClient: (...args: string[]) => start('client', args),
    control: (...args: string[]) => run('control', ...args),
    rows: async (sql: string) => (await session.query(sql)).rows,
    migrate: (release: string, ...versions: string[]) => migrate(session, release, versions),
    file: (name: string) => readFile(join(home, name), 'utf8').catch(() => ''),
    async close() {
      await Promise.all(started.map((running) => running.end('SIGKILL')))
      await run('control', 'stop')
      await session.end()
      await rm(home, { recursive: true, force: true })
    },
  }
}
export type Shop = Awaited<ReturnType<typeof openShop>>

function runProgram(program: string, args: string[], env: Record<string, string>) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(process.execPath, [`${SHOP}${program}.mjs`, ...args], { env }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

function startProgram(program: string, args: string[], env: Record<string, string>): Running {
  const child = spawn(process.execPath, [`${SHOP}${program}.mjs`, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  return {
    child,
    output: () => output,
    async end(signal = 'SIGTERM') {
      child.kill(signal)
      await exited
      return child.exitCode
    },
  }
}

/** Applies files of a release as Headgate's migrator would, and puts them into its ledger. */
async function migrate(session: Client, release: string, versions: string[]): Promise<void> {
  for (const version of versions) {
    await session.query(await readFile(`${SHOP}releases/${release}/migrations/${version}.sql`, 'utf8'))
    await session.query(`INSERT INTO headgate_migrations (version, name, checksum) VALUES ($1, '', '')`, [version])
  }
}

export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, body: Body.parse(await response.json()) }
}

export function placeOrder(shop: Shop, key: string, headers: Record<string, string> = {}): Promise<Answer> {
  return ask(`${shop.url}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, ...headers },
    body: JSON.stringify({ customer: 'Ada', item: 'Blue Shirt', quantity: 2 }),
  })
}

/** Asks until it is so. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const found = await probe()
    if (found) return found
    if (performance.now() > deadline) throw new Error(`it never came to this: ${what}`)
    await sleep(20)
  }
}

/** Asks until somebody answers with this status. */
export const untilStatus = (url: string, status: number): Promise<Answer> =>
  until(`${url} answers ${status}`, async () => {
    const answer = await ask(url).catch(() => undefined)
    return answer?.status === status && answer
  })
