import type { Client, QueryResultRow } from 'pg'
import { failure } from '../../domain/failures.js'
import { leave } from '../postgres/leave.js'
import { openSession, quoteIdentifier } from '../postgres/session.js'
import type { Target } from '../postgres/target.js'

/** A worker that freezes within a transaction must not keep the next one waiting for longer than its `lock_timeout` of 5 s. */
const IDLE_MS = 3_000

/** Every statement of the journal's is short. One without an answer for so long has lost its network: nobody closes such a connection. */
const SILENT_MS = 30_000

/** One statement of the journal's. */
export type Statement = <Row extends QueryResultRow = QueryResultRow>(sql: string, values?: unknown[]) => Promise<Row[]>

/**
 * The durable record of every intent and outcome, in a database of its own. One connection, opened again after a loss;
 * statements queue on it. Each writing transaction keeps its own id in `transactions` and uses no savepoint (a
 * savepoint's id is not told): the proof that nothing changed explains exactly these ids.
 */
export class Journal {
  readonly target: Target
  readonly schema: string
  #session: Promise<Client> | undefined
  #queue: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(target: Target, schema: string) {
    this.target = target
    this.schema = schema
  }

  /** Runs one read outside a transaction. May be repeated by us after a lost connection. */
  read: Statement = (sql, values) => this.#inOrder(async (run) => run(sql, values))

  /** Runs `work` in one transaction. Never repeated after a lost connection: the caller's retry observes first. */
  write<T>(work: (run: Statement) => Promise<T>): Promise<T> {
    return this.#inOrder(async (run) => {
      await run('begin')
      try {
        await run('insert into transactions default values')
        const result = await work(run)
        await run('commit')
        return result
      } catch (error) {
        await run('rollback').catch(() => {})
        throw error
      }
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#queue.catch(() => {})
    const session = await this.#session?.catch(() => undefined)
    if (session) await leave(session)
  }

  #inOrder<T>(work: (run: Statement) => Promise<T>): Promise<T> {
    const result = this.#queue.then(async () => {
      const session = await this.#connected()
      return work((sql, values) => answered(session, sql, values))
    })
    this.#queue = result.catch(() => {})
    return result
  }

  #connected(): Promise<Client> {
    if (this.#closed) throw failure('JournalUnavailable', 'the journal was closed')
    if (this.#session) return this.#session
    const opening = this.#open(() => {
      // The session of before may be told gone twice, the second time when another has taken its place.
      if (this.#session === opening) this.#session = undefined
    })
    this.#session = opening
    return opening
  }

  async #open(forget: () => void): Promise<Client> {
    try {
      const session = await openSession(this.target, { applicationName: 'headgate journal' })
      session.once('end', forget)
      session.once('error', forget)
      await session.query(
        `set search_path to ${quoteIdentifier(this.schema)}; set idle_in_transaction_session_timeout to ${IDLE_MS}`,
      )
      return session
    } catch (error) {
      forget()
      throw failure('JournalUnavailable', `cannot open the journal in database ${this.target.database}`, error)
    }
  }
}

/** One answer; without one the connection is given up, and everything that queues on it goes on with a new one. */
async function answered<Row extends QueryResultRow>(session: Client, sql: string, values?: unknown[]): Promise<Row[]> {
  const silent = setTimeout(() => void leave(session), SILENT_MS)
  try {
    return (await session.query<Row>(sql, values)).rows
  } finally {
    clearTimeout(silent)
  }
}
