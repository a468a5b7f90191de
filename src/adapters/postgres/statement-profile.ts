import type { Client } from 'pg'
import type { MeasuredLock, MeasuredStatement } from '../../domain/rehearsal.js'
import { strengthOf } from '../../domain/rehearsal.js'

/** A relation that a session has locked: its id, the mode as `pg_locks` spells it, and its file, where it can be seen. No name: one may not be sayable in the session's encoding. */
export type Held = [oid: string, mode: string, file: string | null]

/** What was there before the migration. */
interface Relation {
  name: string
  file: string
  isIndex: boolean
}

const OWN_DATABASE = '(select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())'
const AS_TEXT = (oid: string, mode: string): string =>
  `coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(${oid}::text, ${mode}, c.relfilenode::text)), '[]'::json)::text as held,
       (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::text as wal`

/** What a session holds; `whose` is an expression for its process id. Outside of the session the files of its own transaction are not seen. */
const held = (whose: string): string => `
select ${AS_TEXT('l.relation', 'l.mode')} from pg_catalog.pg_locks l left join pg_catalog.pg_class c on c.oid = l.relation
 where l.locktype = 'relation' and l.granted and l.relation >= 16384 and l.pid = ${whose} and l.database = ${OWN_DATABASE}`

/** Asked in the session itself: two texts, of `Held[]` as JSON and of the position in the WAL. */
export const HELD_HERE = held('pg_catalog.pg_backend_pid()')
/** Asked by somebody else, with the process id as `$1`. */
export const HELD_THERE = held('$1')

/** The same of relations that are not held any more: their files alone. */
export const filesOf = (relations: readonly Held[]): string => {
  const ids = [...new Set(relations.map(([oid]) => Number(oid)))]
  return `select ${AS_TEXT('c.oid', "''")} from pg_catalog.pg_class c where c.oid in (${['0', ...ids].join(', ')})`
}

const RELATIONS = `
select c.oid::text, c.relfilenode::text as file, c.relkind in ('i', 'I') as "isIndex",
       case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'm', 'i', 'v')`

/** Locks, and rewritten relations, that are told of one statement: an answer crosses Temporal. */
const MOST = 50

/** A statement that has not ended its transaction yet. */
interface Open {
  statement: MeasuredStatement
  began: number
}

/** Puts together what the statements of one session did to the relations that were there before. Times are of `performance.now`. */
export class StatementProfile {
  #relations = new Map<string, Relation>()
  #finished: MeasuredStatement[] = []

  /** Forgets what was; only what is there now counts as there before. */
  async begin(watch: Client): Promise<void> {
    const { rows } = await watch.query<Relation & { oid: string }>(RELATIONS)
    this.#relations = new Map(rows.map(({ oid, ...relation }) => [oid, relation]))
    this.#finished = []
  }

  /** In the order in which their transactions ended. */
  take(): MeasuredStatement[] {
    return this.#finished.splice(0)
  }

  session(): SessionProfile {
    return new SessionProfile(this.#relations, (statement) => this.#finished.push(statement))
  }
}

/** Of one session: locks are its transaction's. */
export class SessionProfile {
  readonly #relations: Map<string, Relation>
  readonly #finish: (statement: MeasuredStatement) => void
  /** Modes that the transaction holds, by relation. */
  #modes = new Map<string, number>()
  #open: Open[] = []
  #wal = 0

  constructor(relations: Map<string, Relation>, finish: (statement: MeasuredStatement) => void) {
    this.#relations = relations
    this.#finish = finish
  }

  /** Where the WAL stood before the first statement. */
  standsAt(wal: number): void {
    this.#wal = wal
  }

  /** A statement has ended; `relations` it holds, or was seen to hold. */
  add(
    statement: Pick<MeasuredStatement, 'sql' | 'rows' | 'unseen'> & { began: number; ended: number },
    relations: readonly Held[],
    wal: number | undefined,
  ): void {
    const { began, ended, ...told } = statement
    const locks: MeasuredLock[] = []
    const rewrites = new Set<string>()
    for (const [oid, mode, file] of relations) {
      const before = this.#relations.get(oid)
      // What the migration itself made is nobody else's yet.
      if (before === undefined) continue
      const spelled = spelledOut(mode)
      const strength = strengthOf(spelled)
      if (!before.isIndex && strength > 0 && strength > (this.#modes.get(oid) ?? 0)) {
        this.#modes.set(oid, strength)
        locks.push({ table: before.name, mode: spelled, heldMs: 0 })
      }
      if (file === null || file === before.file) continue
      this.#relations.set(oid, { ...before, file })
      rewrites.add(before.name)
    }
    const walBytes = wal === undefined ? 0 : Math.max(0, wal - this.#wal)
    if (wal !== undefined) this.#wal = wal
    const measured: MeasuredStatement = {
      ...told,
      ms: ended - began,
      locks: strongest(locks).slice(0, MOST),
      rewrites: [...rewrites].sort().slice(0, MOST),
      walBytes,
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

/** A relation may be locked in several modes by one statement; the strongest first. */
function strongest(locks: readonly MeasuredLock[]): MeasuredLock[] {
  const byTable = new Map<string, MeasuredLock>()
  for (const lock of locks) {
    const known = byTable.get(lock.table)
    if (known === undefined || strengthOf(lock.mode) > strengthOf(known.mode)) byTable.set(lock.table, lock)
  }
  return [...byTable.values()].sort((one, other) => strengthOf(other.mode) - strengthOf(one.mode))
}

/** `AccessExclusiveLock` as `ACCESS EXCLUSIVE`. */
const spelledOut = (mode: string): string =>
  mode
    .replace(/Lock$/, '')
    .replace(/(?!^)([A-Z])/g, ' $1')
    .toUpperCase()
