// What the benches stand on: a PostgreSQL, a Temporal and workers of their own, and how a time is told.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client as Temporal, Connection } from '@temporalio/client'
import pg from 'pg'
import { startPostgres } from '../dist/adapters/process/postgres-server.js'
import { cacheFolder, findPostgres, findTemporal } from '../dist/adapters/process/provision.js'
import { startTemporal } from '../dist/adapters/process/temporal-server.js'

export const HEADGATE = fileURLToPath(new URL('../bin/headgate.js', import.meta.url))
export const quiet = () => {}

/** Servers, a database `bench` and a folder, for as long as `work` takes. */
export async function onGround(work) {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-bench-'))
  const stops = [() => rm(folder, { recursive: true, force: true })]
  try {
    const cache = cacheFolder()
    const postgres = await startPostgres({ binaries: await findPostgres(cache, quiet) })
    stops.push(() => postgres.stop('fast'))
    const temporal = await startTemporal({
      executable: await findTemporal(cache, quiet),
      databaseFile: join(folder, 'temporal.db'),
      headless: true,
      logFile: join(folder, 'temporal.log'),
    })
    stops.push(() => temporal.stop())
    await sql(postgres.url('postgres'), 'create database bench')
    const env = {
      ...process.env,
      HEADGATE_HOME: join(folder, 'home'),
      BENCH_URL: postgres.url('bench'),
      TEMPORAL_ADDRESS: temporal.address,
    }
    const client = await clientOf(temporal.address)
    stops.push(() => client.connection.close())
    const ground = {
      ...{ folder, postgres, temporal, env, client },
      /** Writes headgate.yaml: `configuration`, and the environment `staging`. */
      configure: (configuration) =>
        writeFile(
          join(folder, 'headgate.yaml'),
          JSON.stringify({ name: 'bench', ...configuration, environments: { staging: { url: '${env:BENCH_URL}' } } }),
        ),
      startWorker: async () => {
        const worker = await startWorker(env, folder)
        stops.push(() => worker.stop())
        return worker
      },
      /** Starts a workflow of the environment. */
      start: (kind, more = {}) =>
        client.workflow.start(kind, {
          taskQueue: 'headgate-bench-staging',
          workflowId: 'headgate/bench/staging',
          args: [{ project: 'bench', environment: 'staging', requester: { by: 'bench' }, ...more }],
        }),
    }
    return await work(ground)
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

async function clientOf(address) {
  const connection = await Connection.connect({ address })
  return new Temporal({ connection })
}

async function startWorker(env, folder) {
  const started = performance.now()
  const child = spawn(process.execPath, [HEADGATE, 'worker', '--config', join(folder, 'headgate.yaml')], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.on('data', (data) => (said += data))
  child.stderr.on('data', (data) => (said += data))
  while (!said.includes('ready')) {
    if (child.exitCode !== null) throw new Error(`the worker ended: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const end = async (signal) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
  return {
    pid: child.pid,
    readyAfterMs: performance.now() - started,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}

export async function sql(url, text, values = []) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

export async function run(program, args, env, cwd) {
  const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (data) => (said += data))
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${said}`)
}

export async function timed(work) {
  const started = performance.now()
  await work()
  return performance.now() - started
}

export function median(times) {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

export function print(what, times) {
  const [least, most] = [Math.min(...times), Math.max(...times)]
  console.log(
    `${what.padEnd(52)} ${Math.round(median(times)).toString().padStart(6)} ms  [${Math.round(least)}-${Math.round(most)}]`,
  )
}
