import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { targetUrl } from '../../src/adapters/postgres/target.js'
import type { JournalStep } from '../support/courses.js'
import { serverTarget } from '../support/test-database.js'
import type { World } from '../support/world.js'

export interface JournalRun {
  name: string
  state: 'open' | 'ended'
  outcome: string | null
  gate: string | null
}

/** Follows a run in the journal, to know when to strike and when it is over; a server that is away is asked again. */
export class Driver {
  readonly #schema: string
  /** Runs and steps of before count for nothing. */
  readonly #since = new Date()
  #client: Client | undefined

  constructor(world: World) {
    this.#schema = world.project.replaceAll('-', '_')
  }

  /** In the order they began. Empty while nobody can tell. */
  async steps(): Promise<JournalStep[]> {
    return this.#rows<JournalStep>(`select stage || ' ' || step as key, state,
        (extract(epoch from coalesce(ended_at, clock_timestamp()) - started_at) * 1000)::int as ms
      from {s}.steps where started_at >= $1 order by id`)
  }

  /** The newest last. */
  async runs(): Promise<JournalRun[]> {
    return this.#rows<JournalRun>(
      'select name, state, outcome, gate from {s}.runs where started_at >= $1 order by started_at',
    )
  }

  /** What the look at a run that nobody carried proposed last. */
  async proposed(run: string): Promise<string | undefined> {
    const [row] = await this.#rows<{ way: string }>(
      `select body ->> 'do' as way from {s}.events where run = $1 and type = 'recovery' order by id desc limit 1`,
      run,
    )
    return row?.way
  }

  async until(what: () => Promise<boolean>, withinMs: number): Promise<boolean> {
    const deadline = Date.now() + withinMs
    while (Date.now() < deadline) {
      if (await what()) return true
      await pause(8)
    }
    return false
  }

  async end(): Promise<void> {
    await this.#client?.end().catch(() => {})
  }

  async #rows<Row extends object>(sql: string, value: unknown = this.#since): Promise<Row[]> {
    try {
      this.#client ??= await connected()
      return (await this.#client.query<Row>(sql.replaceAll('{s}', this.#schema), [value])).rows
    } catch (error) {
      // The worker makes the tables once it has started.
      const isThere = error instanceof Error && 'code' in error && /^(42P01|3F000)$/.test(String(error.code))
      if (!isThere) this.#client = undefined
      return []
    }
  }
}

async function connected(): Promise<Client> {
  const client = new Client({ connectionString: targetUrl(serverTarget('headgate')), application_name: 'driver' })
  client.on('error', () => {})
  await client.connect()
  return client
}
