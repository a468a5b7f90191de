// npm run bench: what a run adds around its tools for a migration that does nothing, beside the bare tool. Ratios of
// medians, measured side by side on this machine; nothing is asserted.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client as Temporal, Connection } from '@temporalio/client'
import pg from 'pg'
import { cacheFolder, findAlembic, findPostgres, findTemporal } from '../dist/adapters/process/provision.js'
import { startPostgres } from '../dist/adapters/process/postgres-server.js'
import { startTemporal } from '../dist/adapters/process/temporal-server.js'

const ROUNDS = Number(process.env.HEADGATE_BENCH_ROUNDS ?? 5)
const HEADGATE = fileURLToPath(new URL('../bin/headgate.js', import.meta.url))
const quiet = () => {}
const folder = await mkdtemp(join(tmpdir(), 'headgate-bench-'))
const stops = []

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
  const alembic = join(await findAlembic(cache, quiet), '')
  await sql(postgres.url('postgres'), 'create database bench')
  await alembicProject()
  await writeFile(join(folder, 'headgate.yaml'), JSON.stringify(configuration(alembic)))

  const env = {
    ...process.env,
    HEADGATE_HOME: join(folder, 'home'),
    BENCH_URL: postgres.url('bench'),
    TEMPORAL_ADDRESS: temporal.address,
  }
  const worker = await startWorker(env)
  stops.push(() => worker.stop())

  const bare = []
  const runs = []
  const steps = new Map()
  for (let round = 1; round <= ROUNDS; round++) {
    await reset(postgres)
    bare.push(
      await timed(() =>
        run(alembic, ['upgrade', 'head'], { ...env, DATABASE_URL: postgres.url('bench') }, join(folder, 'project')),
      ),
    )
    await reset(postgres)
    const { ms, lines } = await deploy(temporal.address)
    runs.push(ms)
    for (const { step, startedAt, endedAt } of lines) steps.set(step, [...(steps.get(step) ?? []), endedAt - startedAt])
  }
  const help = []
  for (let round = 0; round < ROUNDS; round++)
    help.push(await timed(() => run(process.execPath, [HEADGATE, '--help'], env, folder)))

  print('bare `alembic upgrade head`', bare)
  print('the whole run, the same revision', runs)
  console.log(
    `\nadded by the run: ${Math.round(median(runs) - median(bare))} ms, ${(median(runs) / median(bare)).toFixed(1)} times the bare tool\n`,
  )
  for (const [step, times] of steps) print(`  ${step}`, times)
  console.log()
  print('headgate --help', help)
  print('worker ready', [worker.readyAfterMs])
  console.log(`worker resident memory ${(worker.residentBytes() / 1_048_576).toFixed(0)} MB`)
} finally {
  for (const stop of stops.reverse()) await stop()
  await rm(folder, { recursive: true, force: true })
}

function configuration(alembic) {
  return {
    name: 'bench',
    migrator: { kind: 'alembic', config: 'project/alembic.ini', command: [alembic] },
    environments: { staging: { url: '${env:BENCH_URL}' } },
  }
}

/** A revision that changes nothing. */
async function alembicProject() {
  const project = join(folder, 'project')
  await mkdir(join(project, 'versions'), { recursive: true })
  await writeFile(join(project, 'alembic.ini'), '[alembic]\nscript_location = %(here)s\n')
  await writeFile(
    join(project, 'env.py'),
    `import os
from alembic import context
from sqlalchemy import create_engine, pool
url = "postgresql+psycopg2://" + os.environ.get("DATABASE_URL", "postgresql://").split("://", 1)[1]
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
`,
  )
  await writeFile(
    join(project, 'versions', '0001_nothing.py'),
    '"""nothing"""\nrevision = "0001"\ndown_revision = None\ndef upgrade():\n    pass\ndef downgrade():\n    pass\n',
  )
}

async function reset(postgres) {
  await sql(postgres.url('bench'), 'drop table if exists alembic_version')
}

async function deploy(address) {
  const connection = await Connection.connect({ address })
  const client = new Temporal({ connection })
  const started = performance.now()
  const handle = await client.workflow.start('migrate', {
    taskQueue: 'headgate-bench-staging',
    workflowId: 'headgate/bench/staging',
    args: [{ project: 'bench', environment: 'staging', requester: { by: 'bench' } }],
  })
  await handle.result()
  const ms = performance.now() - started
  const { lines } = await handle.query('state')
  await connection.close()
  return { ms, lines }
}

async function startWorker(env) {
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
  const readyAfterMs = performance.now() - started
  const { readFileSync } = await import('node:fs')
  return {
    readyAfterMs,
    residentBytes: () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    stop: async () => {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    },
  }
}

async function sql(url, text) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(text)
  await client.end()
}

async function run(program, args, env, cwd) {
  const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (data) => (said += data))
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${said}`)
}

async function timed(work) {
  const started = performance.now()
  await work()
  return performance.now() - started
}

function median(times) {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

function print(what, times) {
  const [least, most] = [Math.min(...times), Math.max(...times)]
  console.log(
    `${what.padEnd(36)} ${Math.round(median(times)).toString().padStart(6)} ms  [${Math.round(least)}-${Math.round(most)}]`,
  )
}
