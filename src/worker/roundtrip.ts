import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { readConfigurationFile, resolveMigrator, type Settings } from '../adapters/configuration/index.js'
import { createMigrator } from '../adapters/migrator/index.js'
import type { Migrator } from '../adapters/migrator/port.js'
import { fingerprint, fingerprintDifferences } from '../adapters/postgres/data-fingerprint.js'
import { quoteIdentifier, withSession } from '../adapters/postgres/session.js'
import { parseTarget, type Target, withDatabase } from '../adapters/postgres/target.js'
import { whyNotMigrated } from '../domain/failures.js'
import type { Fence } from '../domain/fence.js'
import type { Fingerprint } from '../domain/manifest.js'
import { type Migration, restOn } from '../domain/migration.js'
import { ScratchFence } from '../domain/scratch-fence.js'
import { sourcesOf, WHERE_REFERENCES_LEAD } from './site.js'

export interface RoundtripRequest {
  environment: string
  /** Of a database on the server that the scratch database is made on; the role may create databases. */
  url: string
  tag: string | undefined
  /** Every migration, and not the newest alone. */
  all: boolean
}

/** What became of one migration's way down and up again; times and rows of the ledger apart. */
export interface Roundtrip {
  version: string
  name: string
  hasDown: boolean
  /** From the state before the migration to the one after its way down, one line each. */
  afterDown: string[]
  /** From the state after the migration to the one after it was applied again. */
  afterUp: string[]
  /** Why it does not go down, or up again. */
  breaks?: string
  /** Why its way down was not tried. */
  untried?: string
}

const NAME = 'headgate roundtrip'
const LIMITS = { lockTimeoutMs: 5_000, lockBudgetMs: 30_000, statementTimeoutMs: 3_600_000 }

/**
 * Applies the release's migrations to a scratch database, the last one (or each) down and up again, and compares. The
 * database is gone afterwards. Needs neither Temporal nor a worker nor a journal. Throws what the configuration and the
 * migrator throw, `DatabaseUnreachable`, and the signal's reason.
 */
export async function roundtrip(
  settings: Settings,
  { environment, url, tag = '', all }: RoundtripRequest,
  onProgress: (text: string) => void,
  signal: AbortSignal,
): Promise<Roundtrip[]> {
  const source = await readConfigurationFile(settings.config)
  const configuration = await resolveMigrator(source, environment, WHERE_REFERENCES_LEAD)
  const server = parseTarget(url)
  return onScratch(server, async (target) => {
    const secrets = target.password === undefined ? [] : [target.password]
    const logDirectory = join(settings.home, 'logs', 'roundtrip')
    const migrator = createMigrator(configuration, { logDirectory, secrets, target, sources: sourcesOf(settings) })
    const fence = new ScratchFence(NAME, onProgress, signal)
    const migrations = await migrator.migrations(tag)
    const travel = new Travel(migrator, { target, tag, forks: forksOf(migrations) }, fence)
    const first = all ? 0 : Math.max(0, migrations.length - 1)
    const found: Roundtrip[] = []
    if (first > 0) await travel.up(migrations.slice(0, first))
    for (let at = first; at < migrations.length; at++) {
      signal.throwIfAborted()
      const trip = await travel.thereAndBack(migrations.slice(0, at + 1))
      found.push(trip)
      // Nothing can be applied on top of what is half undone.
      if (trip.breaks) break
    }
    return found
  })
}

/** A database of its own, dropped in any case. */
async function onScratch<T>(server: Target, work: (target: Target) => Promise<T>): Promise<T> {
  const database = `headgate_roundtrip_${randomBytes(4).toString('hex')}`
  const say = (sql: string): Promise<unknown> =>
    withSession(server, { applicationName: NAME }, (session) => session.query(sql))
  await say(`create database ${quoteIdentifier(database)}`)
  try {
    return await work(withDatabase(server, database))
  } finally {
    await say(`drop database if exists ${quoteIdentifier(database)} with (force)`)
  }
}

/** What more than one migration rests on directly; the empty string where more than one rests on nothing. */
function forksOf(migrations: readonly Migration[]): Map<string, Fingerprint | undefined> {
  const below = migrations.flatMap(({ restsOn }) => (restsOn?.length === 0 ? [''] : (restsOn ?? [])))
  return new Map(
    below.filter((version, index) => below.indexOf(version) !== index).map((version) => [version, undefined]),
  )
}

/** Where the last of these is taken back to, and what goes with it. */
function wayBack(migrations: readonly Migration[]): { target: string; beside: Migration[] } {
  const earlier = migrations.slice(0, -1)
  const version = migrations.at(-1)?.version ?? ''
  const target = earlier.findLast((one) => restOn(migrations, one.version).has(version))?.version ?? ''
  const undone = target === '' ? new Set(earlier.map((one) => one.version)) : restOn(migrations, target)
  return { target, beside: earlier.filter((one) => undone.has(one.version)) }
}

/** Goes up and down on the scratch database. */
class Travel {
  readonly #migrator: Migrator
  readonly #target: Target
  readonly #tag: string
  readonly #fence: Fence
  /** Where branches begin, each with what was there last when all of its branches were taken back. */
  readonly #forks: Map<string, Fingerprint | undefined>

  constructor(
    migrator: Migrator,
    { target, tag, forks }: { target: Target; tag: string; forks: Map<string, Fingerprint | undefined> },
    fence: Fence,
  ) {
    this.#migrator = migrator
    this.#target = target
    this.#tag = tag
    this.#fence = fence
    this.#forks = forks
  }

  /** To the last one of these. */
  async up(migrations: readonly Migration[]): Promise<void> {
    const target = migrations.at(-1)?.version ?? ''
    const request = { tag: this.#tag, target, planned: migrations, ...LIMITS }
    await this.#migrator.up(request, this.#target, this.#fence)
  }

  async thereAndBack(migrations: readonly Migration[]): Promise<Roundtrip> {
    const last = migrations.at(-1)
    const { version = '', name = '', hasDown = false } = last ?? {}
    const before = await this.#state()
    await this.up(migrations)
    const { down } = this.#migrator
    if (!hasDown || !down) return { version, name, hasDown: false, afterDown: [], afterUp: [] }
    const applied = await this.#state()
    const trip: Roundtrip = { version, name, hasDown, afterDown: [], afterUp: [] }
    const { target, beside } = wayBack(migrations)
    const oneWay = beside.find((one) => !one.hasDown)
    // With what is on other branches, back to where those were taken back to.
    const then = beside.length === 0 ? before : this.#forks.get(target)
    if (oneWay || !then)
      return {
        ...trip,
        untried: `it cannot be taken back without ${(oneWay ?? beside[0])?.version}, on another branch`,
      }
    const request = { tag: this.#tag, target, ...LIMITS }
    const noDown = await whyNotMigrated(() => down.call(this.#migrator, request, this.#target, this.#fence))
    if (noDown !== undefined) return { ...trip, breaks: `its way down fails: ${noDown}` }
    const now = await this.#state()
    trip.afterDown = fingerprintDifferences(then, now)
    if (this.#forks.has(target)) this.#forks.set(target, now)
    const noUp = await whyNotMigrated(() => this.up(migrations))
    if (noUp !== undefined) return { ...trip, breaks: `it does not apply again: ${noUp}` }
    return { ...trip, afterUp: fingerprintDifferences(applied, await this.#state()) }
  }

  /** Without the ledger, which tells of times, and is not there before the first migration. */
  async #state(): Promise<Fingerprint> {
    const found = await withSession(this.#target, { applicationName: NAME, readOnly: true }, (session) =>
      fingerprint(session, { rows: 'hash', signal: this.#fence.signal }),
    )
    const [, ledger] = (this.#migrator.ledgerTable ?? '').split('.')
    if (ledger === undefined) return found
    const isOfLedger = (text: string): boolean => text.split(/[^\w$]+/).includes(ledger)
    return {
      ...found,
      objects: found.objects.filter(({ identity, definition }) => !isOfLedger(identity) && !isOfLedger(definition)),
      tables: Object.fromEntries(Object.entries(found.tables).filter(([table]) => !isOfLedger(table))),
    }
  }
}
