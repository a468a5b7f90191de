import { Journal } from '../adapters/journal/journal.js'
import { prepareJournal, requireJournal } from '../adapters/journal/prepare.js'
import { parseTarget, type Target, withDatabase } from '../adapters/postgres/target.js'
import type { EnvironmentConfiguration } from '../domain/configuration.js'
import { failure } from '../domain/failures.js'

const RESOLVED_FOR_MS = 60_000

/** The journal's database, unless `journal.url` names another. */
const JOURNAL_DATABASE = 'headgate'

export function journalTarget(configuration: EnvironmentConfiguration): Target {
  const own = configuration.journal.url
  const database = parseTarget(configuration.url)
  const target =
    own === undefined
      ? withDatabase(parseTarget(configuration.urls.control ?? configuration.url), JOURNAL_DATABASE)
      : parseTarget(own)
  if (target.host === database.host && target.port === database.port && target.database === database.database) {
    throw failure(
      'ConfigurationInvalid',
      `the journal must not be in ${database.database} itself: a restore would rewind it`,
    )
  }
  return target
}

/** What whoever looks every few seconds needs of an environment. */
export interface Resolved {
  journal: Journal
  /** How long a run may keep consumers paused, in ms. */
  pauseLimit: number
}

/** Open journals of one worker, by where they are: prepared once, shared by all its environments. */
export class Journals {
  readonly #open = new Map<string, Promise<Journal>>()
  readonly #last = new Map<string, { source: object; resolved: Resolved; until: number }>()

  readonly #makes: boolean

  /** `makes`: one that is not there yet is made, and an older one brought up to date. */
  constructor({ makes }: { makes: boolean }) {
    this.#makes = makes
  }

  /** Prepares the journal on first use. A failure is forgotten: the next attempt tries again. Throws `JournalUnavailable`. */
  of(configuration: EnvironmentConfiguration): Promise<Journal> {
    const target = journalTarget(configuration)
    const { schema } = configuration.journal
    const key = JSON.stringify([target, schema])
    const known = this.#open.get(key)
    if (known) return known
    const prepare = this.#makes ? prepareJournal : requireJournal
    const opening = prepare(target, schema).then(() => new Journal(target, schema))
    this.#open.set(key, opening)
    opening.catch(() => this.#open.delete(key))
    return opening
  }

  /**
   * The same for whoever looks every few seconds, and what else that one needs: references may be commands, so `resolve` is asked
   * once a minute, and when the file has changed. After a failure: `forget`.
   */
  async lastOf(
    source: object,
    environment: string,
    resolve: () => Promise<EnvironmentConfiguration>,
  ): Promise<Resolved> {
    const last = this.#last.get(environment)
    if (last?.source === source && performance.now() < last.until) return last.resolved
    const configuration = await resolve()
    const resolved = { journal: await this.of(configuration), pauseLimit: configuration.pauseLimit }
    this.#last.set(environment, { source, resolved, until: performance.now() + RESOLVED_FOR_MS })
    return resolved
  }

  /** What has changed since (a password, say) is found out by the next one who asks. */
  forget(environment: string): void {
    this.#last.delete(environment)
  }

  async close(): Promise<void> {
    const open = await Promise.allSettled(this.#open.values())
    await Promise.allSettled(open.map((one) => (one.status === 'fulfilled' ? one.value.close() : undefined)))
  }
}
