import type { WorkflowHandle } from '@temporalio/client'
import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import type { FaultWorld } from './fault-world.js'
import type { Relay } from './relay.js'
import { resetToFirstTask } from '../support/reset.js'
import { CANARY } from '../support/secret-world.js'
import { setOpen } from '../support/test-database.js'
import { type Servers, setPassword } from './servers.js'

export interface Struck {
  place: FaultWorld
  servers: Servers
  /** Of the workflow that the step is of. */
  handle: WorkflowHandle
}

export interface Fault {
  /** In one line, for the table. */
  text: string
  /** Returns when everything that has to be there again is there. */
  strike(struck: Struck): Promise<void>
}

const define = <const Name extends string>(faults: Record<Name, Fault>): Record<Name, Fault> => faults

/** Everything that can happen to a run from outside. */
export const FAULTS = define({
  'worker-killed': {
    text: 'the worker is killed with -9, and another one starts',
    async strike({ place }) {
      await ended(working(place), 'SIGKILL')
      await place.startWorker()
    },
  },
  'worker-stopped': {
    text: 'the worker is told to stop, and another one starts',
    async strike({ place }) {
      await ended(working(place), 'SIGTERM')
      await place.startWorker()
    },
  },
  'worker-frozen': {
    text: 'the worker is stopped past its heartbeat, another one takes over, and the first wakes up',
    async strike({ place }) {
      const frozen = working(place)
      frozen.kill('SIGSTOP')
      const another = await place.startWorker()
      await pause(3 * place.world.heartbeatMs)
      frozen.kill('SIGCONT')
      await pause(500)
      await ended(another, 'SIGTERM')
    },
  },
  'temporal-killed': {
    text: 'the Temporal server is killed with -9 and is back after longer than a heartbeat',
    async strike({ place, servers }) {
      await servers.temporal.kill()
      await pause(1.5 * place.world.heartbeatMs)
      await servers.temporal.restart()
    },
  },
  'postgres-stopped': {
    text: 'PostgreSQL is stopped at once (immediate), and recovers',
    async strike({ servers }) {
      await servers.postgres.crash()
      await servers.postgres.restart()
    },
  },
  terminated: {
    text: 'the workflow is terminated',
    strike: ({ handle }) => ask(() => handle.terminate('a person pressed the wrong button')),
  },
  cancelled: {
    text: 'the workflow is cancelled',
    strike: ({ handle }) => ask(() => handle.cancel()),
  },
  'postgres-cut': {
    text: 'every connection to PostgreSQL is cut, and new ones are refused for a while',
    strike: ({ servers, place }) => between(servers.toPostgres, 'cut', place.world.heartbeatMs),
  },
  'postgres-stalled': {
    text: 'the network to PostgreSQL stalls for longer than a heartbeat',
    strike: ({ servers, place }) => between(servers.toPostgres, 'stall', 1.5 * place.world.heartbeatMs),
  },
  'postgres-half-open': {
    text: 'PostgreSQL hears and is not heard for longer than a heartbeat; then its connections are cut',
    strike: ({ servers, place }) => between(servers.toPostgres, 'halfOpen', 1.5 * place.world.heartbeatMs),
  },
  'temporal-cut': {
    text: 'every connection to Temporal is cut, and new ones are refused for longer than a heartbeat',
    strike: ({ servers, place }) => between(servers.toTemporal, 'cut', 1.5 * place.world.heartbeatMs),
  },
  'temporal-stalled': {
    text: 'the network to Temporal stalls for longer than a heartbeat',
    strike: ({ servers, place }) => between(servers.toTemporal, 'stall', 1.5 * place.world.heartbeatMs),
  },
  'table-locked': {
    text: 'somebody who gets in reads a table in a transaction that stays open for a while',
    async strike({ place: { world } }) {
      const reader = new Client({ connectionString: world.database.url, application_name: 'shop' })
      reader.on('error', () => {})
      try {
        await reader.connect()
        await reader.query('begin')
        await reader.query('select count(*) from orders')
        await pause(2_000)
      } catch {
        // The gate is closed: nobody gets in.
      } finally {
        await reader.end().catch(() => {})
      }
    },
  },
  storm: {
    text: 'fifty clients try to connect again and again',
    async strike({ place: { world } }) {
      const until = Date.now() + 2_000
      const client = async (): Promise<void> => {
        while (Date.now() < until) {
          const one = new Client({ connectionString: world.database.url, application_name: 'shop' })
          one.on('error', () => {})
          await one.connect().catch(() => pause(20))
          await one.end().catch(() => {})
        }
      }
      await Promise.all(Array.from({ length: 50 }, client))
    },
  },
  messages: {
    text: 'messages that nobody should heed: approvals of another plan, twice and late, and a hold that is lifted',
    async strike({ place }) {
      const { handle, temporal } = place.world
      const heard = (what: () => Promise<unknown>): Promise<unknown> =>
        temporal.withDeadline(Date.now() + 2_000, what).catch(() => undefined)
      const update = (name: string, message: object): Promise<unknown> =>
        heard(() => handle.executeUpdate(name, { args: [message] }))
      await Promise.all([
        update('approve', { by: 'eve', digest: 'f'.repeat(64) }),
        update('approve', { by: 'eve' }),
        update('reject', { by: 'eve', digest: 'f'.repeat(64) }),
        update('retry', { by: 'eve' }),
        heard(() => handle.signal('approveSignal', { by: 'eve', digest: 'f'.repeat(64) })),
        heard(() => handle.signal('nonsense', 7)),
      ])
      await update('hold', { by: 'ana' })
      await pause(300)
      await update('continue', { by: 'ana' })
    },
  },
  'disk-full': {
    text: 'no file of the worker or of its tools can grow for a while, as on a full disk',
    async strike({ place }) {
      const worker = working(place)
      const limit = (bytes: string): Promise<unknown> =>
        promisify(execFile)('prlimit', ['--pid', String(worker.pid), `--fsize=${bytes}:`])
      await limit('1024')
      await pause(3_000)
      // It may have been ended meanwhile.
      await limit('unlimited').catch(() => {})
    },
  },
  'backup-damaged': {
    text: 'a byte of every dump is changed, and every clone is opened and written to, by somebody',
    async strike({ place: { world } }) {
      await damageDumps(join(world.folder, 'backups'))
      await damageClones(world)
    },
  },
  'password-rotated': {
    text: "the role's password is changed, and the worker's file of it a while later",
    async strike({ place }) {
      const next = `${CANARY}-${Date.now()}`
      await setPassword(next)
      await pause(1_500)
      await place.rotate(next)
    },
  },
  'consumer-confused': {
    text: 'the consumer answers garbage, then nothing, then refuses, whatever it is asked; then it is well again',
    async strike({ place: { world } }) {
      for (const by of ['garbage', 'silence', 'refusal'] as const) {
        world.consumer.confusedBy = by
        await pause(1_000)
      }
      world.consumer.confusedBy = undefined
    },
  },
  'service-fails': {
    text: "the service's own scripts fail for a while, and print the wrong things",
    async strike({ place: { world } }) {
      const names = ['deploy', 'start', 'stop', 'current', 'status']
      const well = await Promise.all(names.map((name) => readFile(join(world.folder, 'bin', name), 'utf8')))
      for (const name of names) await world.script(name, 'printf "\\033[2J\\000nonsense"; exit 3')
      await pause(3_000)
      for (const [n, name] of names.entries()) await writeFile(join(world.folder, 'bin', name), well[n] ?? '')
    },
  },
  reset: {
    text: 'the workflow is reset to its first task',
    strike: ({ place, handle }) => ask(() => resetToFirstTask(place.world.temporal, handle.workflowId)),
  },
})
export type FaultName = keyof typeof FAULTS

/** One bit of the largest file of each dump. */
async function damageDumps(folder: string): Promise<void> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const folders = new Set(
    names.filter((name) => name.endsWith('manifest.json')).map((name) => join(folder, name, '..')),
  )
  for (const dump of folders) {
    const files = (await readdir(dump)).filter((name) => name !== 'manifest.json').map((name) => join(dump, name))
    const sizes = await Promise.all(files.map(async (file) => ({ file, size: (await stat(file)).size })))
    const [largest] = sizes.sort((a, b) => b.size - a.size)
    if (!largest) continue
    const bytes = await readFile(largest.file)
    const at = Math.floor(bytes.length / 2)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    await writeFile(largest.file, bytes)
  }
}

async function damageClones(world: FaultWorld['world']): Promise<void> {
  for (const name of await world.clones()) {
    // It may be dropped, or swapped in, at any moment.
    await setOpen(name, true)
      .then(() => world.rows(`update orders set item = 'changed by somebody' where id = 1 returning id`, name))
      .catch(() => {})
  }
}

async function between(relay: Relay, fault: 'cut' | 'stall' | 'halfOpen', ms: number): Promise<void> {
  relay[fault]()
  await pause(ms)
  relay.pass()
}

const isAlive = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null

function working({ world }: FaultWorld): ChildProcess {
  const worker = world.workers.findLast(isAlive)
  if (!worker) throw new Error('no worker is at work')
  return worker
}

async function ended(worker: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const gone = once(worker, 'exit')
  worker.kill(signal)
  await gone
}

/** Too late is no fault: the run has just closed. */
async function ask(what: () => Promise<unknown>): Promise<void> {
  await what().catch((error: Error) => {
    if (error.name !== 'WorkflowNotFoundError') throw error
  })
}
