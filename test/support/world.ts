import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client as Temporal, Connection, type WorkflowHandle } from '@temporalio/client'
import { Client } from 'pg'
import { stringify } from 'yaml'
import { UmzugLedger } from '../../src/adapters/migrator/umzug-ledger.js'
import { fingerprint } from '../../src/adapters/postgres/data-fingerprint.js'
import { quoteIdentifier, withSession } from '../../src/adapters/postgres/session.js'
import { withDatabase } from '../../src/adapters/postgres/target.js'
import type { Fingerprint } from '../../src/domain/manifest.js'
import type { Ending, RunState } from '../../src/domain/run.js'
import { type Snapshot, snapshotOf } from '../checker/snapshot.js'
import { FILE_MARK } from './file-mark.js'
import { headgate } from './command-line.js'
import { type HttpServer, json, startHttpServer } from './http-server.js'
import { type LeftOvers, leftOvers } from '../checker/left-overs.js'
import { temporalAddress } from './ground.js'
import { pgDump } from './server-binaries.js'
import { createDatabase, setOpen, type TestDatabase, withControl } from './test-database.js'

const WORKER = fileURLToPath(new URL('./worker-process.mjs', import.meta.url))

/** Each write is a session of its own, and those cost more than anything else that a world does. */
const WRITE_EVERY_MS = 60

const FIRST = '-- the schema of release 1\nselect 1'

export interface WorldOptions {
  /** File name → SQL, of release 2. Release 1's schema is there. */
  migrations: Record<string, string>
  /** Merged into the configuration's top level. */
  configuration?: Record<string, unknown>
  environment?: Record<string, unknown>
  /** Milliseconds; default 3000. */
  heartbeatMs?: number
  /** A consumer that says that it is paused and goes on. */
  consumerLies?: boolean
  /** How late the consumer answers, in milliseconds. */
  consumerAnswersAfterMs?: number
  /** Without services nothing can be stopped: the gate stays open. */
  withoutService?: boolean
  /** SQL run on the database beside the world's own schema. */
  schema?: string
  /** Nobody writes until `startWriters`: then the database can be compared with itself, byte for byte. */
  writesLate?: boolean
  /** Between two writes of the service, and of the consumer; each has a connection of its own. Default 60 ms. */
  writeEveryMs?: number
  /** Whom the service and the consumer log in as; made where it is not there. Default: a superuser. */
  writesAs?: string
  /** A second consumer, which somebody has paused long ago. */
  withSleeper?: boolean
  /** Other environments of the same project, as they stand in the file. */
  environments?: Record<string, unknown>
}

let worlds = 0

/**
 * A small company: a database with orders, a service that is scripts and a writer, a consumer that writes, a worker as a
 * process of its own, and one project of Headgate's. Everything that acknowledges a write remembers it.
 */
export class World {
  readonly folder: string
  readonly database: TestDatabase
  readonly temporal: Temporal
  readonly address: string
  readonly project: string
  readonly heartbeatMs: number
  /** Orders whose COMMIT was heard of. */
  readonly acknowledged: string[] = []
  /** What the sleeping consumer says of itself. */
  readonly sleeper: { state: 'running' | 'paused' }
  readonly consumer: {
    state: 'running' | 'paused'
    processed: number
    server: HttpServer
    /** What it answers, whatever it is asked; undefined: the truth. */
    confusedBy?: 'garbage' | 'silence' | 'refusal' | undefined
  }
  readonly workers: ChildProcess[] = []
  readonly #options: WorldOptions
  #writing = true
  #writers: Promise<void>[] = []
  output = ''

  private constructor(
    parts: Pick<World, 'folder' | 'database' | 'temporal' | 'address' | 'consumer' | 'sleeper'>,
    options: WorldOptions,
  ) {
    this.folder = parts.folder
    this.database = parts.database
    this.temporal = parts.temporal
    this.address = parts.address
    this.consumer = parts.consumer
    this.sleeper = parts.sleeper
    this.heartbeatMs = options.heartbeatMs ?? 3_000
    this.project = `w${FILE_MARK}-${worlds++}`
    this.#options = options
  }

  static async create(options: WorldOptions): Promise<World> {
    const address = await temporalAddress()
    const temporal = new Temporal({ connection: await Connection.connect({ address }) })
    const folder = await mkdtemp(join(tmpdir(), 'headgate-world-'))
    const state: Omit<World['consumer'], 'server'> = { state: 'running', processed: 0 }
    const sleeper = { state: 'paused' as 'running' | 'paused' }
    const server = await startHttpServer((request, response) => {
      if (request.path === '/asleep/pause') sleeper.state = 'paused'
      if (request.path === '/asleep/resume') sleeper.state = 'running'
      if (request.path.startsWith('/asleep/')) return json(response, 200, { state: sleeper.state, inFlight: 0 })
      if (state.confusedBy === 'silence') return
      if (state.confusedBy === 'garbage') return void response.end('\u001b[2J{"state": ')
      if (state.confusedBy === 'refusal') return json(response, 503, { error: 'try later' })
      if (request.path === '/pause') state.state = 'paused'
      if (request.path === '/resume') state.state = 'running'
      const answer = (): void =>
        json(response, 200, {
          state: state.state,
          inFlight: 0,
          processed: options.consumerLies ? state.processed : state.state === 'paused' ? 0 : state.processed,
        })
      setTimeout(answer, options.consumerAnswersAfterMs ?? 0)
    })
    const consumer = Object.assign(state, { server })
    const world = new World({ folder, database: await createDatabase(), temporal, address, consumer, sleeper }, options)
    await world.#prepare()
    return world
  }

  async #prepare(): Promise<void> {
    await withSession(this.database.target, { applicationName: 'test prepare' }, async (session) => {
      await session.query(`create table orders (id bigint generated always as identity primary key, key text unique not null, item text not null, written_by text not null);
        create table stock (n bigint generated always as identity primary key, what text);
        insert into orders (key, item, written_by) select 'seed-' || n, 'bread', 'seed' from generate_series(1, 50) n`)
      if (this.#options.writesAs) await this.#letWrite(session, quoteIdentifier(this.#options.writesAs))
      if (this.#options.schema) await session.query(this.#options.schema.replaceAll(':db', this.database.name))
    })
    await this.release('1', {})
    await this.release('2', this.#options.migrations)
    await this.#applyFirst()
    await this.script('deploy', 'echo "$1" > current; touch running')
    await this.script('start', 'touch running')
    await this.script('stop', 'rm -f running')
    await this.script('current', 'cat current')
    await this.script('status', `test -e running && echo '{"state":"running"}' || echo '{"state":"stopped"}'`)
    await this.script('exists', 'test -d "releases/$1"')
    await writeFile(join(this.folder, 'current'), '1\n')
    await writeFile(join(this.folder, 'running'), '')
    await this.configure({})
    if (!this.#options.writesLate) this.startWriters()
  }

  async #letWrite(session: Client, role: string): Promise<void> {
    await session.query(`create role ${role} login; grant insert on orders, stock to ${role}`)
  }

  /** The service and the consumer begin to write. */
  startWriters(): void {
    this.#writers = [this.#serve(), this.#consume()]
  }

  /** The ledger as the migrator keeps it, with release 1 applied. */
  async #applyFirst(): Promise<void> {
    const checksum = createHash('sha256').update(FIRST).digest('hex')
    await withSession(this.database.target, { applicationName: 'test prepare' }, async (session) => {
      const ledger = new UmzugLedger(session, 'headgate_migrations')
      await ledger.create()
      await ledger.add({ version: '0001_orders', name: '0001_orders', checksum }, false)
    })
  }

  /** Writes headgate.yaml anew; `changes` win over the world's own. */
  async configure(changes: Record<string, unknown>): Promise<void> {
    const at = this.consumer.server.url
    const { withoutService, withSleeper, configuration, environment, environments } = this.#options
    const file = {
      name: this.project,
      heartbeat: `${this.heartbeatMs}ms`,
      journal: { schema: this.project.replaceAll('-', '_') },
      migrator: { kind: 'umzug', dir: 'releases/{tag}' },
      backup: { kind: 'auto', to: `file://${this.folder}/backups` },
      consumers: {
        stock: { kind: 'http', pause: `${at}/pause`, resume: `${at}/resume`, status: `${at}/status`, within: '5s' },
        ...(withSleeper
          ? {
              asleep: {
                ...{ kind: 'http', pause: `${at}/asleep/pause`, resume: `${at}/asleep/resume` },
                status: `${at}/asleep/status`,
              },
            }
          : {}),
      },
      ...(withoutService
        ? {}
        : {
            services: {
              api: {
                kind: 'command',
                deploy: ['./bin/deploy', '{tag}'],
                start: ['./bin/start'],
                stop: ['./bin/stop'],
                current: ['./bin/current'],
                status: ['./bin/status'],
                exists: ['./bin/exists', '{tag}'],
              },
            },
          }),
      ...configuration,
      ...changes,
      environments: { staging: { url: this.database.url, ...environment }, ...environments },
    }
    await writeFile(join(this.folder, 'headgate.yaml'), stringify(file))
  }

  async release(tag: string, migrations: Record<string, string>): Promise<void> {
    const folder = join(this.folder, 'releases', tag)
    await mkdir(folder, { recursive: true })
    for (const [name, sql] of Object.entries({
      '0001_orders.sql': FIRST,
      ...migrations,
    })) {
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await writeFile(join(folder, name), sql)
    }
  }

  async script(name: string, body: string): Promise<void> {
    await mkdir(join(this.folder, 'bin'), { recursive: true })
    await writeFile(join(this.folder, 'bin', name), `#!/bin/sh\ncd "${this.folder}" || exit 9\n${body}\n`, {
      mode: 0o755,
    })
  }

  /** What runs: the tag, or undefined when the service is stopped. */
  async serving(): Promise<string | undefined> {
    if (!existsSync(join(this.folder, 'running'))) return undefined
    return (await readFile(join(this.folder, 'current'), 'utf8')).trim()
  }

  /** The service: writes orders while it runs, each acknowledged after its COMMIT. */
  async #serve(): Promise<void> {
    for (let n = 0; this.#writing; n++) {
      await pause(this.#options.writeEveryMs ?? WRITE_EVERY_MS)
      const tag = await this.serving()
      if (tag === undefined) continue
      const key = `order-${n}-by-${tag}`
      const written = await this.#write('insert into orders (key, item, written_by) values ($1, $2, $3)', [
        key,
        'cake',
        tag,
      ])
      if (!written) continue
      this.acknowledged.push(key)
      appendFileSync(join(this.folder, 'acknowledged.txt'), `${key}\tcake\n`)
    }
  }

  async #consume(): Promise<void> {
    while (this.#writing) {
      await pause(this.#options.writeEveryMs ?? WRITE_EVERY_MS)
      if (this.consumer.state === 'paused' && !this.#options.consumerLies) continue
      if (await this.#write('insert into stock (what) values ($1)', ['moved'])) this.consumer.processed += 1
    }
  }

  async #write(sql: string, values: string[]): Promise<boolean> {
    const { writesAs } = this.#options
    const { host, port, database } = this.database.target
    const where =
      writesAs === undefined ? { connectionString: this.database.url } : { host, port, database, user: writesAs }
    const client = new Client({ ...where, application_name: 'shop' })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query(sql, values)
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** Starts a worker and waits until it polls. `address`: of whoever stands between it and Temporal; `folder`: its headgate.yaml's. */
  async startWorker(
    env: Record<string, string> = {},
    address = this.address,
    folder = this.folder,
  ): Promise<ChildProcess> {
    const child = spawn(process.execPath, [WORKER, join(folder, 'headgate.yaml'), join(folder, 'home'), address], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.workers.push(child)
    appendFileSync(join(this.folder, 'workers.txt'), `${child.pid}\n`)
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        this.output += String(data)
      })
    const before = this.output.length
    while (!this.output.slice(before).includes('worker ready')) {
      if (child.exitCode !== null) throw new Error(`the worker ended: ${this.output}`)
      await pause(20)
    }
    return child
  }

  /** What somebody types in the world's folder. */
  typed(...words: string[]): ReturnType<typeof headgate> {
    return headgate(words, this.folder, { TEMPORAL_ADDRESS: this.address })
  }

  /** What the ledger has, in its order. */
  async versions(): Promise<string[]> {
    const rows = await this.rows<{ version: string }>('select version from headgate_migrations order by 1')
    return rows.map(({ version }) => version)
  }

  async start(kind = 'deploy', input: Record<string, unknown> = { tag: '2' }): Promise<WorkflowHandle> {
    const suffix = kind === 'backup' || kind === 'recover' ? `/${kind}` : ''
    return this.temporal.workflow.start(kind, {
      workflowId: `headgate/${this.project}/staging${suffix}`,
      taskQueue: `headgate-${this.project}-staging`,
      args: [{ project: this.project, environment: 'staging', requester: { by: 'ana' }, ...input }],
    })
  }

  get handle(): WorkflowHandle {
    return this.temporal.workflow.getHandle(`headgate/${this.project}/staging`)
  }

  async until(what: (state: RunState) => boolean): Promise<RunState> {
    for (;;) {
      const state = await this.handle.query<RunState>('state').catch(() => undefined)
      if (state && what(state)) return state
      if (state?.ending)
        throw new Error(
          `the run ended before: ${JSON.stringify(state.ending)}\n${JSON.stringify(state.lines, null, 1)}\n${this.output}`,
        )
      await pause(30)
    }
  }

  /** How the newest run of the workflow ended. */
  async ending(handle: WorkflowHandle = this.handle): Promise<Ending & { lines: RunState['lines'] }> {
    await this.temporal.workflow
      .getHandle(handle.workflowId)
      .result()
      .catch(() => {})
    const { ending, lines } = await this.#stateOf(this.temporal.workflow.getHandle(handle.workflowId))
    if (!ending) throw new Error('the run has no ending')
    return { ...ending, lines }
  }

  /** Asked again: whom the server asks first may be dead. */
  async #stateOf(handle: WorkflowHandle, tries = 5): Promise<RunState> {
    try {
      return await handle.query<RunState>('state')
    } catch (error) {
      if (tries === 1) throw error
      await pause(500)
      return this.#stateOf(handle, tries - 1)
    }
  }

  /** Rows of a query on the live database, or on another of the cluster. */
  async rows<Row extends object = Record<string, unknown>>(sql: string, database = this.database.name): Promise<Row[]> {
    return withSession(
      withDatabase(this.database.target, database),
      { applicationName: 'test look' },
      async (session) => (await session.query<Row>(sql)).rows,
    )
  }

  /** Rows of the journal; tables are named with the world's schema by `{s}`. */
  async journal<Row extends object = Record<string, unknown>>(sql: string): Promise<Row[]> {
    return this.rows<Row>(sql.replaceAll('{s}', this.project.replaceAll('-', '_')), 'headgate')
  }

  async fingerprint(database = this.database.name): Promise<Fingerprint> {
    return withSession(withDatabase(this.database.target, database), { applicationName: 'test look' }, (session) =>
      fingerprint(session, { rows: 'hash' }),
    )
  }

  async oid(): Promise<string> {
    return withControl(
      async (control) =>
        (await control.query(`select oid::text from pg_database where datname = $1`, [this.database.name])).rows[0]
          ?.oid,
    )
  }

  /** Databases of the cluster that a run of this world made. */
  async siblings(): Promise<string[]> {
    return withControl(async (control) => {
      const { rows } = await control.query<{ name: string }>(
        'select datname as name from pg_database where datname like $1 order by 1',
        [`${this.database.name}\\_\\_%`],
      )
      return rows.map(({ name }) => name)
    })
  }

  /** The databases that are clones of its own. */
  async clones(): Promise<string[]> {
    return (await this.siblings()).filter((name) => name.includes('__c_'))
  }

  /** What the world is like now, looked at from outside. */
  async snapshot(): Promise<Snapshot> {
    return snapshotOf({
      url: this.database.url,
      pgDump: await pgDump(),
      surroundings: async () => ({
        'consumer stock': this.consumer.state,
        'service api': (await this.serving()) ?? 'stopped',
      }),
    })
  }

  /** What runs have left behind them, databases that are kept on purpose apart. `folders`: where backups go beside the world's own. */
  async leftOvers(folders: readonly string[] = []): Promise<LeftOvers> {
    const workers = this.workers.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    return leftOvers({
      url: this.database.url,
      folders: [this.folder, ...folders],
      workers: workers.flatMap(({ pid }) => pid ?? []),
    })
  }

  /** Keys that were acknowledged and are in none of these databases. */
  async lost(databases: readonly string[] = [this.database.name]): Promise<string[]> {
    const found = new Set<string>()
    for (const database of databases) {
      // A quarantine is closed; a person who looks into it opens it.
      await setOpen(database, true)
      for (const { key } of await this.rows<{ key: string }>('select key from orders', database)) found.add(key)
    }
    return this.acknowledged.filter((key) => !found.has(key))
  }

  /** Stops the writers and waits for the last of them. */
  async quiet(): Promise<void> {
    this.#writing = false
    await Promise.all(this.#writers)
  }

  async end(): Promise<void> {
    await this.quiet()
    for (const worker of this.workers) {
      if (worker.exitCode !== null || worker.signalCode !== null) continue
      const gone = once(worker, 'exit')
      worker.kill('SIGCONT')
      worker.kill('SIGKILL')
      await gone
    }
    await this.handle.terminate('the test is over').catch(() => {})
    await this.consumer.server.close()
    await this.temporal.connection.close()
    await rm(this.folder, { recursive: true, force: true })
  }
}
