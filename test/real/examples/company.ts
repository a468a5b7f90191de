import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { parseTarget } from '../../../src/adapters/postgres/target.js'
import { withSession } from '../../../src/adapters/postgres/session.js'
import { kept, readThrough } from '../../examples/readme.js'
import { type Answer, headgate, type Started, startReadyWorker } from '../../support/command-line.js'
import { temporalAddress } from '../../support/ground.js'
import { type PostgresServer, startPostgres } from '../../support/postgres-server.js'
import { serverBinaries } from '../../support/server-binaries.js'
import { untilNoContainers } from '../containers.js'
import { BASE_IMAGE } from '../docker-engine.js'

const EXAMPLES = fileURLToPath(new URL('../../../examples', import.meta.url))

/** Who runs one of the examples: a copy of its folder, a PostgreSQL of its own, a worker, a person who types. */
export class Company {
  readonly name: string
  readonly folder: string
  readonly server: PostgresServer
  readonly env: Record<string, string>
  readonly #images: string[] = []
  #worker: Started | undefined

  private constructor(name: string, folder: string, server: PostgresServer, env: Record<string, string>) {
    this.name = name
    this.folder = folder
    this.server = server
    this.env = env
  }

  /** Of the example `name`. Its database is there, and empty. */
  static async found(name: string): Promise<Company> {
    const server = await startPostgres()
    const folder = await mkdtemp(join(tmpdir(), 'headgate-example-'))
    await cp(join(EXAMPLES, name), folder, { recursive: true })
    const { DOCKER_HOST = '', DOCKER_CONFIG = '' } = process.env
    const company = new Company(name, folder, server, {
      ...{ TEMPORAL_ADDRESS: await temporalAddress(), HEADGATE_USER: 'ana', DOCKER_HOST, DOCKER_CONFIG },
      DATABASE_URL: `postgresql://postgres@127.0.0.1:${server.port}/bookings`,
      PATH: `${await serverBinaries()}:${process.env.PATH}`,
    })
    await withSession(parseTarget(company.url('postgres')), { applicationName: 'test prepare' }, (session) =>
      session.query('create database bookings'),
    )
    return company
  }

  url(database: string): string {
    return `postgresql://postgres@127.0.0.1:${this.server.port}/${database}`
  }

  /** A program in the folder, as somebody there would call it. */
  shell(program: string, words: readonly string[], env: Record<string, string> = {}): string {
    return execFileSync(program, words, {
      ...{ cwd: this.folder, encoding: 'utf8', stdio: 'pipe' },
      env: { ...process.env, ...this.env, ...env, DOCKER_BUILDKIT: '0' },
    })
  }

  /** An image of a release: the example's folder with the application, changed by `change` before. */
  async build(
    image: string,
    change: (folder: string) => Promise<void> = async () => {},
    dockerfile = 'Dockerfile',
  ): Promise<void> {
    this.#images.push(image)
    const context = await mkdtemp(join(tmpdir(), 'hg-build-'))
    for (const folder of [join(EXAMPLES, 'app'), this.folder]) await cp(folder, context, { recursive: true })
    await change(context)
    const how = ['--build-arg', `BASE=${BASE_IMAGE}`, '--file', join(context, dockerfile)]
    this.shell('docker', ['build', '--quiet', ...how, '--tag', image, context])
    await rm(context, { recursive: true })
  }

  /** One program in an image of `build`, with the database. */
  inImage(image: string, ...words: string[]): void {
    const { DATABASE_URL } = this.env
    const how = ['--rm', '--network', 'host', '--env', `DATABASE_URL=${DATABASE_URL}`]
    this.shell('docker', ['run', ...how, image, ...words])
  }

  /** A program of the team's finds the engine as on any machine: here it is not where they all look. */
  async dockerForPrograms(): Promise<void> {
    const bin = join(this.folder, '.bin')
    await mkdir(bin)
    const { DOCKER_HOST, DOCKER_CONFIG, PATH } = this.env
    const lines = ['#!/bin/sh', `export DOCKER_HOST=${DOCKER_HOST} DOCKER_CONFIG=${DOCKER_CONFIG} PATH='${PATH}'`]
    await writeFile(join(bin, 'docker'), [...lines, 'exec docker "$@"', ''].join('\n'), { mode: 0o755 })
    this.env.PATH = `${bin}:${PATH}`
  }

  /** The worker's machine has none of PostgreSQL's own: what is called by their names does nothing. */
  async withoutPostgresPrograms(): Promise<void> {
    const gone = '#!/bin/sh\nexit 127\n'
    for (const name of ['pg_dump', 'pg_restore', 'psql'])
      await writeFile(join(this.folder, '.bin', name), gone, { mode: 0o755 })
  }

  async rows<Row extends object>(sql: string): Promise<Row[]> {
    return withSession(
      parseTarget(this.url('bookings')),
      { applicationName: 'test look' },
      async (session) => (await session.query<Row>(sql)).rows,
    )
  }

  async startWorker(): Promise<void> {
    this.#worker = await startReadyWorker(this.folder, this.env)
  }

  types(words: readonly string[]): Promise<Answer> {
    return headgate(words, this.folder, this.env)
  }

  /** What the example's README says is what happens, command for command: `vitest -u` writes it anew. */
  readme(): Promise<void> {
    return readThrough(join(EXAMPLES, this.name, 'README.md'), { type: (words) => this.#typed(words) })
  }

  /** What is typed on a line of the README; `> report.md` keeps what is printed there, beside it. */
  async #typed(words: readonly string[]): Promise<Answer> {
    const at = words.indexOf('>')
    if (at < 0) return this.types(words)
    const answer = await this.types(words.slice(0, at))
    const place = join(EXAMPLES, this.name, words[at + 1] ?? '')
    const written = await readFile(place, 'utf8').catch(() => '')
    await expect(kept(written, answer.stdout)).toMatchFileSnapshot(place)
    return { ...answer, text: answer.stderr }
  }

  /** What it has started itself must be gone. */
  async end(): Promise<void> {
    await this.#worker?.stop()
    await untilNoContainers()
    this.shell('docker', ['rmi', '--force', ...this.#images])
    await this.server.stop()
    await rm(this.folder, { recursive: true, force: true })
  }
}
