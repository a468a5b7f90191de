import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import { sqlState } from '../postgres/session.js'

const LOCK_NOT_AVAILABLE = '55P03'
const DEADLOCK = '40P01'
const LOOK_MS = 25
const FIRST_DELAY_MS = 100
const LONGEST_DELAY_MS = 2_000

/** Whether a try failed for a lock alone, so that another try may succeed. */
export const isLockFailure = (error: unknown): boolean => [LOCK_NOT_AVAILABLE, DEADLOCK].includes(sqlState(error))

/** Tries again what could not get its lock, until the time lost by that is over. One budget for all migrations of a call. */
export class LockBudget {
  readonly #backend: number
  readonly #openWatch: () => Promise<Client>
  readonly #say: (blockers: string[]) => void
  readonly #budgetMs: number
  #lostMs = 0
  #blockers: string[] = []

  constructor(options: {
    backend: number
    budgetMs: number
    openWatch: () => Promise<Client>
    say: (blockers: string[]) => void
  }) {
    this.#backend = options.backend
    this.#budgetMs = options.budgetMs
    this.#openWatch = options.openWatch
    this.#say = options.say
  }

  /** `attempt` has undone itself when it throws. From the second try on somebody looks who is in the way: there is always one. */
  async retry<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    for (let tries = 1, delay = FIRST_DELAY_MS; ; tries++, delay = Math.min(delay * 1.5, LONGEST_DELAY_MS)) {
      const begun = performance.now()
      try {
        return tries === 1 ? await attempt() : await this.#watched(attempt)
      } catch (error) {
        if (!isLockFailure(error)) throw error
        const pause = delay * (0.5 + Math.random())
        this.#lostMs += performance.now() - begun + pause
        if (tries > 1 && this.#lostMs > this.#budgetMs) throw this.#blocked(what, error)
        this.#say(this.#blockers)
        await sleep(pause)
      }
    }
  }

  #blocked(what: string, error: unknown): Error {
    const by =
      this.#blockers.length > 0 ? `by ${this.#blockers.join('; ')}` : 'by sessions that were gone when looked for'
    return failure('MigrationBlocked', `${what} did not get its lock within ${this.#budgetMs} ms: blocked ${by}`, error)
  }

  async #watched<T>(attempt: () => Promise<T>): Promise<T> {
    const watch = await this.#openWatch()
    const done = new AbortController()
    const looking = this.#look(watch, done.signal).catch(() => {})
    try {
      return await attempt()
    } finally {
      done.abort()
      await looking
      await watch.end().catch(() => {})
    }
  }

  async #look(watch: Client, done: AbortSignal): Promise<void> {
    while (!done.aborted) {
      const { rows } = await watch.query<{ blocker: string }>(BLOCKERS, [this.#backend])
      if (rows.length > 0) this.#blockers = rows.map(({ blocker }) => blocker)
      await sleep(LOOK_MS, undefined, { signal: done })
    }
  }
}

/** Never the query: it may hold anything. */
const BLOCKERS = `
select format('pid %s (%s, %s, %s for %s s)', pid, coalesce(usename, backend_type), coalesce(nullif(application_name, ''), 'unnamed'),
              coalesce(state, 'no state'), extract(epoch from now() - coalesce(xact_start, backend_start))::integer) as blocker
  from pg_stat_activity where pid = any(pg_blocking_pids($1)) order by pid limit 5`
