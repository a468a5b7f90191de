import type { Client } from 'pg'
import type { Copy } from '../adapters/backup/copy.js'
import type { Migrator } from '../adapters/migrator/port.js'
import { temporaryBytes } from '../adapters/postgres/activity.js'
import type { StatementProxy } from '../adapters/postgres/statement-proxy.js'
import { failure, whyNotMigrated } from '../domain/failures.js'
import type { Fence } from '../domain/fence.js'
import type { Migration } from '../domain/migration.js'
import { type MeasuredMigration, type MeasuredStatement, type Rehearsal, strengthOf } from '../domain/rehearsal.js'
import { redact } from '../domain/text.js'
import type { Site } from './site.js'

/** Statements that are kept, of all migrations together: the answer crosses Temporal, which takes 2 MB. */
const MOST = 2_000
const LEAST_OF_EACH = 5
const SHOWN_CHARACTERS = 300
/** A statement that only reads is told of where it locked something, or took as long. */
const READS = /^\s*(select|with|table|values|explain)\b/i
const WORTH_MS = 50

/** What a rehearsal works with. */
interface At {
  copy: Copy
  proxy: StatementProxy
  /** A session of our own on the copy. */
  watch: Client
  /** What the environment's own database has applied. */
  live: ReadonlySet<string>
}

/** The migrations on their way through the copy. */
export class RehearsalRun {
  readonly #site: Site
  readonly #tag: string
  readonly #at: At
  readonly #fence: Fence
  readonly #migrator: Migrator

  constructor(site: Site, tag: string, at: At, fence: Fence) {
    this.#site = site
    this.#tag = tag
    this.#at = at
    this.#fence = fence
    this.#migrator = site.migratorAt(at.proxy.target)
  }

  async through(): Promise<Pick<Rehearsal, 'behind' | 'bytes' | 'serverVersion' | 'migrations' | 'previous'>> {
    const { bytes, serverVersion } = this.#at.copy
    const ledger = await this.#migrator.ledger(this.#at.watch, this.#tag)
    const all = await this.#migrator.migrations(this.#tag, ledger)
    await this.#requireComes()
    const applied = new Set(ledger.applied.map(({ version }) => version))
    const notTried = all.filter(({ version }) => applied.has(version) && !this.#at.live.has(version))
    if (notTried.length > 0)
      throw failure(
        'GuardFailed',
        `the copy has ${notTried.map(({ version }) => version).join(', ')} already, which the database has not: on it they cannot be tried`,
        undefined,
        { hint: 'rehearse on a copy of the database as it is' },
      )
    // An older copy lacks what the database has: that comes first, and is measured with the rest.
    const isNothingPending = all.every(({ version }) => this.#at.live.has(version))
    const pending = isNothingPending ? [] : all.filter(({ version }) => !applied.has(version))
    const most = Math.max(LEAST_OF_EACH, Math.floor(MOST / pending.length))
    const migrations: MeasuredMigration[] = []
    const isExpanded = (): boolean =>
      migrations.length > 0 && migrations.every(({ phase, failed }) => phase === 'expand' && failed === undefined)
    let previous: Rehearsal['previous']
    for (const group of this.#groupsOf(pending)) {
      if (isExpanded() && group.some(({ phase }) => phase === 'contract')) previous = await this.#usePrevious()
      migrations.push(...(await this.#apply(all, group, most)))
      if (migrations.at(-1)?.failed !== undefined) break
    }
    if (isExpanded()) previous = await this.#usePrevious()
    const behind = all.map(({ version }) => version).filter((one) => this.#at.live.has(one) && !applied.has(one))
    return {
      ...{ bytes, serverVersion, migrations },
      ...(behind.length === 0 ? {} : { behind }),
      ...(previous === undefined ? {} : { previous }),
    }
  }

  /** One at a time; a tool that can only go to head takes all at once. */
  #groupsOf(pending: readonly Migration[]): Migration[][] {
    if (this.#migrator.stopsAtTarget) return pending.map((migration) => [migration])
    return pending.length === 0 ? [] : [[...pending]]
  }

  /** Before anything is applied the tool is seen on the copy: one that connects elsewhere would migrate what is there. */
  async #requireComes(): Promise<void> {
    const { proxy } = this.#at
    const { connect, ledgerTable } = this.#migrator
    const session = {
      applicationName: this.#fence.applicationName,
      options: { default_transaction_read_only: 'on' },
    }
    // Where that alone knows its ledger, nobody knows a harmless word of it.
    if (connect === undefined && ledgerTable === undefined && !this.#site.configuration.rehearsal.connectsAsTold)
      throw failure('GuardFailed', "nobody knows where the migrator's up connects", undefined, {
        hint: 'see to it that PG* and the URL in its environment alone decide that, then write rehearsal.connectsAsTold: true',
      })
    const said = connect && (await connect({ tag: this.#tag, session }, proxy.target, this.#fence.signal))
    // Without a tool to ask the sessions are our own; one that alone knows its ledger has just been asked for it.
    const isOurOwn = connect === undefined && ledgerTable !== undefined
    if (proxy.sessions() > 0 || isOurOwn) return
    throw failure(
      'GuardFailed',
      `the migrator did not come to the copy, by ${proxy.target.host}:${proxy.target.port}: ${said || 'it connects elsewhere, or runs in a network of its own'}`,
    )
  }

  async #apply(all: readonly Migration[], group: readonly Migration[], most: number): Promise<MeasuredMigration[]> {
    const { proxy, watch } = this.#at
    const last = group.at(-1)
    if (!last) return []
    const { timeout, budget, statementTimeout } = this.#site.configuration.locks
    const request = {
      tag: this.#tag,
      target: last.version,
      planned: all.slice(0, all.indexOf(last) + 1),
      lockTimeoutMs: timeout,
      lockBudgetMs: budget,
      statementTimeoutMs: statementTimeout,
    }
    this.#fence.progress(`rehearse ${last.version}`)
    await proxy.begin()
    const before = await temporaryBytes(watch)
    const came = proxy.sessions()
    const began = performance.now()
    const failed = await whyNotMigrated(() => this.#migrator.up(request, proxy.target, this.#fence))
    const ms = performance.now() - began
    if (failed === undefined && proxy.sessions() === came)
      throw failure(
        'GuardFailed',
        `nobody came to the copy while ${last.version} was migrated: see where the migrator connects`,
      )
    await proxy.idle()
    const temporary = (await temporaryBytes(watch)) - before
    const measured: MeasuredMigration = {
      ...unmeasured(last),
      ...{ ms, temporaryBytes: temporary, statements: this.#worthTelling(proxy.take(), most) },
      ...(failed === undefined ? {} : { failed }),
    }
    // Of a tool that applies all at once nobody can say what was whose.
    const withAll = { measuredWith: last.version, ...(failed === undefined ? {} : { failed }) }
    return [...group.slice(0, -1).map((migration) => ({ ...unmeasured(migration), ...withAll })), measured]
  }

  #worthTelling(statements: readonly MeasuredStatement[], most: number): MeasuredStatement[] {
    const ledger = this.#migrator.ledgerTable?.replace(/^public\./, '')
    const ledgerName = ledger?.split('.').at(-1)
    const told = statements.flatMap((statement) => {
      const locks = statement.locks.filter(({ table }) => table !== ledger)
      const isLedger = locks.length === 0 && ledgerName !== undefined && statement.sql.includes(ledgerName)
      const isWorth = locks.length > 0 || statement.ms >= WORTH_MS || !READS.test(statement.sql)
      return isWorth && !isLedger ? [{ ...statement, locks, sql: this.#shown(statement.sql) }] : []
    })
    const worst = new Set(
      [...told].sort((one, other) => holdOf(other) - holdOf(one) || other.ms - one.ms).slice(0, most),
    )
    return told.filter((statement) => worst.has(statement))
  }

  #shown(sql: string): string {
    const text = redact(sql.replace(/\s+/g, ' ').trim(), this.#site.secrets)
    return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text
  }

  async #usePrevious(): Promise<Rehearsal['previous']> {
    const { services, previousUse } = this.#site
    if (!previousUse) return undefined
    const [tag] = (await Promise.all(services.map(({ service }) => service.current(this.#fence.signal)))).filter(
      Boolean,
    )
    if (tag === undefined) return { isFine: false, said: 'which tag runs now is not known: no service tells' }
    this.#fence.progress(`use the copy as ${tag} does`)
    return previousUse(tag, this.#at.copy.target, this.#fence.signal)
  }
}

/** How long it kept anybody from reading, or else from writing. */
const holdOf = ({ locks }: MeasuredStatement): number =>
  Math.max(0, ...locks.filter(({ mode }) => strengthOf(mode) >= strengthOf('SHARE')).map(({ heldMs }) => heldMs))

const unmeasured = ({ version, name, checksum, phase }: Migration): MeasuredMigration => ({
  ...{ version, name, checksum, phase, ms: 0, temporaryBytes: 0, statements: [] },
})
