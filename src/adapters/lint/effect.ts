import type { Node, RangeVar } from 'libpg-query'
import type { ExpectedLock, RuleName } from '../../domain/review.js'
import type { DatabaseFacts, Named } from './facts.js'

/** What a statement does to a table that is there: the lock, and the work that is done under it. */
export interface Effect {
  table: Named
  mode: string
  work: ExpectedLock['work']
  /** What is found where the work takes long; without one the lock is only expected. */
  rule?: RuleName
  /** What it may come to at most, where how many rows it is done to cannot be told from outside: found where that is known, and long. */
  mayBe?: ExpectedLock['work']
  /** `column sku gets another type`. */
  what: string
}

/** What is wrong with a statement whatever the table's size. */
export interface Fault {
  rule: RuleName
  level: 'stop' | 'warn' | 'note'
  text: string
  /** What it is about, where the release itself may have made that. */
  of?: Named
}

export interface Effects {
  effects: Effect[]
  faults: Fault[]
  /** Tables that are made by it: nobody waits for them. */
  makes: Named[]
}

export interface Surroundings {
  facts: DatabaseFacts | undefined
  phase: 'expand' | 'contract'
  /** Whether an image runs that the release replaces, or a way back would bring again. */
  hasPrevious: boolean
  transactional: boolean
  /** `table.column` for which a check that the release adds and validates says `is not null`. */
  provenNotNull: ReadonlySet<string>
  /** Names that the same migration makes, too: what is dropped there comes back. */
  remade: ReadonlySet<string>
  /** Values that statements before it added to enums, in the same transaction. */
  addedValues: ReadonlySet<string>
}

export const EXCLUSIVE = 'ACCESS EXCLUSIVE'
export const NOTHING: Effects = { effects: [], faults: [], makes: [] }

/** What only fails, or would, because it stands in a transaction. */
export const alone = ({ transactional }: Surroundings, what: string): Fault[] =>
  transactional
    ? [
        {
          rule: 'concurrently-in-transaction',
          level: 'stop',
          text: `${what} concurrently stands in a transaction: the server will refuse it`,
        },
      ]
    : []

export const breaking = ({ phase, hasPrevious }: Surroundings, what: string, of?: Named): Fault[] =>
  phase === 'expand' && hasPrevious
    ? [
        {
          rule: 'breaks-previous-image',
          level: 'stop',
          text: `${what} while the previous image runs, or may come back`,
          ...(of === undefined ? {} : { of }),
        },
      ]
    : []

export function onTable(
  relation: RangeVar | undefined,
  mode: string,
  work: Effect['work'],
  what: string,
  rule?: RuleName,
  mayBe?: Effect['mayBe'],
): Effects {
  const found = { ...(rule === undefined ? {} : { rule }), ...(mayBe === undefined ? {} : { mayBe }) }
  const effects = named(relation).map((table): Effect => ({ table, mode, work, what, ...found }))
  return { ...NOTHING, effects }
}

export const named = (relation: RangeVar | undefined): Named[] =>
  relation?.relname === undefined ? [] : [{ schema: relation.schemaname, name: relation.relname }]

/** Of a list of tables, as `truncate` and `lock table` have it. */
export const tablesOf = (relations: readonly Node[] = []): Named[] =>
  relations.flatMap((relation) => ('RangeVar' in relation ? named(relation.RangeVar) : []))

/** The table that `create table` makes, filled or not. */
export function madeBy(node: Node): RangeVar | undefined {
  if ('CreateStmt' in node) return node.CreateStmt.relation
  return 'CreateTableAsStmt' in node ? node.CreateTableAsStmt.into?.rel : undefined
}

export const all = (parts: readonly Effects[]): Effects => ({
  effects: parts.flatMap(({ effects }) => effects),
  faults: parts.flatMap(({ faults }) => faults),
  makes: parts.flatMap(({ makes }) => makes),
})
