import type { Client } from 'pg'
import type { MeasuredLock, MeasuredStatement } from '../../domain/rehearsal.js'
import { strengthOf } from '../../domain/rehearsal.js'

/** A relation that a session has locked: its id, its name, its file, and the mode as `pg_locks` spells it. */
export type Held = [oid: string, name: string, file: string, kind: string, mode: string]

const NAME = `case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end`
const RELATIONS = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'm', 'i', 'v')`

const AS_TEXT = (mode: string): string =>
  `coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(c.oid::text, ${NAME}, c.relfilenode::text, c.relkind, ${mode})), '[]'::json)::text as held,
       (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::text as wal`
const FROM = 'pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace'

/** What a session holds; `whose` is an expression for its process id. Outside of the session the files of its own transaction are not seen. */
const held = (whose: string): string => `
select ${AS_TEXT('l.mode')} from ${FROM} join pg_catalog.pg_locks l on l.relation = c.oid
 where l.locktype = 'relation' and l.granted and l.pid = ${whose} and ${RELATIONS}
   and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())`

/** Asked in the session itself: two texts, of `Held[]` as JSON and of the position in the WAL. */
export const HELD_HERE = held('pg_catalog.pg_backend_pid()')
/** Asked by somebody else, with the process id as `$1`. */
export const HELD_THERE = held('$1')

/** The same of relations that are not held any more: their files alone. */
export const filesOf = (relations: readonly Held[]): string => {
  const ids = [...new Set(relations.map(([oid]) => Number(oid)))]
  return `select ${AS_TEXT("''")} from ${FROM} where c.oid in (${['0', ...ids].join(', ')})`
}

const FILES = `
select c.oid::text, c.relfilenode::text as file from ${FROM} where ${RELATIONS}`

/** A statement that has not ended its transaction yet. */
interface Open {
  statement: MeasuredStatement
  began: number
}

/** Puts together what the statements of one session did to the relations that were there before. Times are of `performance.now`. */
export class StatementProfile {
  /** Relations there were when the migration began, and their files. */
  #files = new Map<string, string>()
  #finished: MeasuredStatement[] = []

  /** Forgets what was; only what is there now counts as there before. */
  async begin(watch: Client): Promise<void> {
    const { rows } = await watch.query<{ oid: string; file: string }>(FILES)
    this.#files = new Map(rows.map(({ oid, file }) => [oid, file]))
    this.#finished = []
  }

  /** In the order in which they ended. */
  take(): MeasuredStatement[] {
    return this.#finished.splice(0)
  }

  session(): SessionProfile {
    return new SessionProfile(this.#files, (statement) => this.#finished.push(statement))
  }
}

/** Of one session: locks are its transaction's. */
export class SessionProfile {
  readonly #files: Map<string, string>
  readonly #finish: (statement: MeasuredStatement) => void
  /** Modes that the transaction holds, by relation. */
  #modes = new Map<string, number>()
  #open: Open[] = []
  #wal = 0

  constructor(files: Map<string, string>, finish: (statement: MeasuredStatement) => void) {
    this.#files = files
    this.#finish = finish
  }

  /** Where the WAL stood before the first statement. */
  standsAt(wal: number): void {
    this.#wal = wal
  }

  /** A statement has ended; `relations` it holds, or was seen to hold. */
  add(
    statement: { sql: string; began: number; ended: number; rows: number | undefined },
    relations: readonly Held[],
    wal: number | undefined,
  ): void {
    const { sql, began, ended, rows } = statement
    const locks: MeasuredLock[] = []
    const rewrites = new Set<string>()
    for (const [oid, name, file, kind, mode] of relations) {
      const before = this.#files.get(oid)
      // What the migration itself made is nobody else's yet.
      if (before === undefined) continue
      const spelled = spelledOut(mode)
      const strength = strengthOf(spelled)
      if (kind !== 'i' && strength > 0 && strength > (this.#modes.get(oid) ?? 0)) {
        this.#modes.set(oid, strength)
        locks.push({ table: name, mode: spelled, heldMs: 0 })
      }
      if (file === before) continue
      this.#files.set(oid, file)
      rewrites.add(name)
    }
    const walBytes = wal === undefined ? 0 : Math.max(0, wal - this.#wal)
    if (wal !== undefined) this.#wal = wal
    const measured: MeasuredStatement = {
      ...{ sql, ms: ended - began, locks: strongest(locks), rewrites: [...rewrites].sort(), walBytes },
      ...(rows === undefined ? {} : { rows }),
    }
    this.#open.push({ statement: measured, began })
  }

  /** The transaction is over, and with it the locks. */
  transactionEnded(at: number): void {
    for (const { statement, began } of this.#open)
      this.#finish({ ...statement, locks: statement.locks.map((lock) => ({ ...lock, heldMs: at - began })) })
    this.#open = []
    this.#modes = new Map()
  }
}

/** A relation may be locked in several modes by one statement. */
function strongest(locks: readonly MeasuredLock[]): MeasuredLock[] {
  const byTable = new Map<string, MeasuredLock>()
  for (const lock of locks) {
    const known = byTable.get(lock.table)
    if (known === undefined || strengthOf(lock.mode) > strengthOf(known.mode)) byTable.set(lock.table, lock)
  }
  return [...byTable.values()]
}

/** `AccessExclusiveLock` as `ACCESS EXCLUSIVE`. */
const spelledOut = (mode: string): string =>
  mode
    .replace(/Lock$/, '')
    .replace(/(?!^)([A-Z])/g, ' $1')
    .toUpperCase()
