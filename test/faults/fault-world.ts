import type { ChildProcess } from 'node:child_process'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import type { Scene } from '../checker/scene.js'
import { configurationOf, type Course, worldOf } from '../support/courses.js'
import { CANARY } from '../support/secret-world.js'
import { pgDump } from '../support/server-binaries.js'
import { createDatabase, type TestDatabase, withControl } from '../support/test-database.js'
import type { World } from '../support/world.js'
import { ROLE, type Servers, setPassword } from './servers.js'

const HEADGATE = fileURLToPath(new URL('../../bin/headgate.js', import.meta.url))
const BYSTANDER = 'somebody else'

/** A world of which everything can be seen from outside, with somebody else on its server. */
export interface FaultWorld {
  world: World
  /** Holds `scene.json`; nothing of the run's is in it. */
  folder: string
  startWorker(): Promise<ChildProcess>
  /** What workers are told of the password. */
  rotate(password: string): Promise<void>
  end(): Promise<void>
}

export async function faultWorld(course: Course, servers: Servers, reference: References): Promise<FaultWorld> {
  const environment: Record<string, unknown> = {}
  const world = await worldOf(course, {
    withSleeper: true,
    writeEveryMs: 80,
    environment,
  })
  const secret = join(world.folder, 'url')
  const rotate = async (password: string): Promise<void> => {
    const url = new URL(world.database.url)
    Object.assign(url, {
      username: ROLE,
      password: encodeURIComponent(password),
      port: String(servers.toPostgres.port),
    })
    // In one step: whoever reads it finds the one or the other.
    await writeFile(`${secret}.new`, url.href, { mode: 0o600 })
    await rename(`${secret}.new`, secret)
  }
  await setPassword(CANARY)
  await rotate(CANARY)
  environment.url = `\${file:${secret}}`
  await world.configure(configurationOf(course, world))
  const elsewhere = await createDatabase()
  const session = new Client({ connectionString: elsewhere.url, application_name: BYSTANDER })
  session.on('error', () => {})
  await session.connect()
  await session.query('create table theirs (n int); insert into theirs values (1)')
  await session.query('begin')
  await session.query('select * from theirs')
  const folder = join(world.folder, 'seen')
  await mkdir(folder)
  await writeFile(join(folder, 'scene.json'), JSON.stringify(await sceneOf(world, course, reference, elsewhere)))
  return {
    world,
    folder,
    rotate,
    startWorker: () => world.startWorker({}, `127.0.0.1:${servers.toTemporal.port}`),
    end: async () => {
      await session.end().catch(() => {})
      await world.end()
      await withControl(async (control) => {
        for (const name of [...(await world.siblings()), world.database.name, elsewhere.name])
          await control.query(`drop database if exists "${name}" with (force)`)
      }).catch(() => {})
    },
  }
}

const isContract = (name: string): boolean => name.endsWith('.contract.sql')
const isWayDown = (name: string): boolean => name.endsWith('.down.sql')

const versionsOf = ({ migrations }: Course, ofContract: boolean): string[] =>
  Object.keys(migrations)
    .filter((name) => !isWayDown(name) && isContract(name) === ofContract)
    .map((name) => name.replace(/(\.contract)?\.sql$/, ''))

async function sceneOf(
  world: World,
  course: Course,
  { end, between }: References,
  elsewhere: TestDatabase,
): Promise<Scene> {
  const at = world.consumer.server.url
  const inFolder = (name: string): string => join(world.folder, name)
  return {
    url: world.database.url,
    pgDump: await pgDump(),
    temporal: { address: world.address, namespace: 'default', runs: `headgate/${world.project}/staging` },
    workers: inFolder('workers.txt'),
    folders: [inFolder('home'), inFolder('backups')],
    backups: inFolder('backups'),
    consumers: [
      { name: 'stock', status: `${at}/status` },
      { name: 'asleep', status: `${at}/asleep/status` },
    ],
    service: { current: inFolder('current'), running: inFolder('running') },
    acknowledged: { file: inFolder('acknowledged.txt'), table: 'public.orders', key: 'key', value: 'item' },
    written: [
      { table: 'public.orders', id: 'id' },
      { table: 'public.stock', id: 'n' },
    ],
    ledger: { table: 'headgate_migrations', version: 'version' },
    release: {
      direction: course.downTo === undefined ? 'up' : 'down',
      tags: { previous: '1', next: '2' },
      expand: versionsOf(course, false),
      contract: versionsOf(course, true),
      target: end.name,
      between: between.name,
    },
    audit: 'audit',
    approvals: inFolder('approvals.txt'),
    secrets: [CANARY, encodeURIComponent(CANARY)],
    told: [inFolder('home'), inFolder('backups'), inFolder('worker.log')],
    bystander: { url: elsewhere.url, application: BYSTANDER },
    application: 'shop',
    longestWaitMs: 1_100,
    report: [
      ...['env', '-i', `PATH=${process.env.PATH}`, `HOME=${world.folder}`, `TEMPORAL_ADDRESS=${world.address}`],
      ...[process.execPath, HEADGATE, 'report', '{run}', '--output', 'json', '--project', world.project],
    ],
  }
}

/** Databases that have gone through what the course goes through, to its end and up to between its stages, with nothing but SQL. */
export interface References {
  end: TestDatabase
  between: TestDatabase
}

export const referencesOf = async (course: Course): Promise<References> => ({
  end: await referenceOf(course, () => true),
  between: await referenceOf(course, (name) => isContract(name) === (course.downTo !== undefined)),
})

/** `isDone`: of what the course's run goes through itself. */
async function referenceOf(course: Course, isDone: (name: string) => boolean): Promise<TestDatabase> {
  const world = await worldOf(course, { writesLate: true })
  const client = new Client({ connectionString: world.database.url })
  await client.connect()
  const up = Object.keys(course.migrations).filter((name) => !isWayDown(name))
  const down = Object.keys(course.migrations).filter(isWayDown).reverse()
  const isWayUp = course.downTo === undefined
  // The contract's own way down does not say in its name what it is.
  const contracts = up.filter(isContract).map((name) => name.replace('.contract.sql', '.down.sql'))
  const isDoneDown = (name: string): boolean => isDone(contracts.includes(name) ? 'x.contract.sql' : name)
  for (const name of isWayUp ? up.filter(isDone) : [...up, ...down.filter(isDoneDown)])
    await client.query(course.migrations[name] ?? '').catch(() => {})
  await client.end()
  await world.end()
  return world.database
}
