import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { parseApplicationName } from '../../src/domain/names.js'
import { openControl, type TestDatabase } from './test-database.js'

const EVERY_MS = 15

/**
 * Looks, from a connection of its own, at which attempts have sessions at work in a database. A session that has only
 * said hello (its settings are asked for once it is in) does not count.
 */
export class Sampler {
  /** Each set of epochs that was at work at once, and with what. */
  readonly seen = new Map<string, string[]>()
  samples = 0
  /** Whether the newest sample saw anybody. */
  isAtWork = false
  readonly #control: Client
  #stopped = false
  #sampling: Promise<void> = Promise.resolve()

  private constructor(control: Client) {
    this.#control = control
  }

  static async start(database: Pick<TestDatabase, 'name'>): Promise<Sampler> {
    const sampler = new Sampler(await openControl())
    sampler.#sampling = sampler.#sample(database.name)
    return sampler
  }

  /** How many epochs were at work at once, at most. May be called twice. */
  async stop(): Promise<number> {
    this.#stopped = true
    await this.#sampling
    await this.#control.end().catch(() => {})
    return Math.max(0, ...[...this.seen.keys()].map((epochs) => epochs.split(',').length))
  }

  async #sample(database: string): Promise<void> {
    while (!this.#stopped) {
      const { rows } = await this.#control.query<{ name: string; query: string }>(
        `select application_name as name, query from pg_stat_activity
          where datname = $1 and application_name like 'hg:%' and state in ('active', 'idle in transaction')
            and query not like '%current_setting(''application_name'')%'`,
        [database],
      )
      this.samples += 1
      this.isAtWork = rows.length > 0
      const epochs = new Set(rows.map(({ name }) => parseApplicationName(name)?.epoch))
      if (epochs.size > 0)
        this.seen.set(
          [...epochs].sort().join(','),
          rows.map(({ name, query }) => `${name}: ${query}`),
        )
      await pause(EVERY_MS)
    }
  }
}
