import type { Client } from 'pg'
import { size } from '../../domain/amounts.js'
import type { PlannedMigration } from '../../domain/plan.js'
import type { ExpectedLock, Finding, Review, RuleName, Waiver } from '../../domain/review.js'
import { RuleName as KnownRule } from '../../domain/review.js'
import { functionOf } from './alter-table.js'
import type { Effect, Fault } from './effect.js'
import { effectsOf } from './effects.js'
import { type DatabaseFacts, keyOf, type Named, readFacts } from './facts.js'
import { findAll, parse, type Parsed } from './parse.js'

export interface ReviewOptions {
  /** Whether an image runs that the release replaces, or a way back would bring again. */
  hasPrevious: boolean
  /** Whether writers and readers are out while it is done: then nobody waits, and only the pause is longer. */
  isGateClosed: boolean
  /** What may be held, or how long the pause may get longer, by one statement. */
  longestMs: number
  waivers: readonly Waiver[]
}

/** By the size alone; a rehearsal measures. docs/review.md says where they are from. */
const BYTES_PER_SECOND = { scan: 400e6, index: 50e6, rewrite: 50e6, rows: 25e6 }

/** The highest version whose grammar `parse` has. */
const GRAMMAR = 18

interface Read {
  migration: PlannedMigration
  statements: Parsed[]
  broken: { message: string; line: number; column: number } | undefined
}

/** Looks at pending migrations before they run. `session`: only looks; without one nothing is known of sizes and types. */
export async function review(
  migrations: readonly PlannedMigration[],
  options: ReviewOptions,
  session?: Client,
): Promise<Review> {
  const read = await Promise.all(migrations.filter(({ sql }) => sql !== undefined).map(readOne))
  const facts = session && (await readFacts(session, namesIn(read)))
  const made = new Set<string>()
  const parts = read.map((one) => reviewOne(one, options, facts, made))
  return {
    findings: parts.flatMap(({ findings }) => findings),
    locks: parts.flatMap(({ locks }) => locks),
    unread: migrations.filter(({ sql }) => sql === undefined).map(({ version }) => version),
  }
}

async function readOne(migration: PlannedMigration): Promise<Read> {
  const answer = await parse(migration.sql ?? '')
  if (Array.isArray(answer)) return { migration, statements: answer, broken: undefined }
  return { migration, statements: [], broken: answer }
}

/** Every table and function that is named anywhere. */
function namesIn(read: readonly Read[]): { tables: Named[]; functions: Named[] } {
  const nodes = read.flatMap(({ statements }) => statements.map(({ node }) => node))
  const ranges = [...findAll(nodes, 'RangeVar'), ...findAll(nodes, 'relation'), ...findAll(nodes, 'pktable')]
  const tables = ranges.flatMap(({ schemaname, relname }) =>
    typeof relname === 'string'
      ? [{ schema: typeof schemaname === 'string' ? schemaname : undefined, name: relname }]
      : [],
  )
  return { tables: unique(tables), functions: unique(findAll(nodes, 'FuncCall').map(functionOf)) }
}

const unique = (names: readonly Named[]): Named[] => [...new Map(names.map((name) => [keyOf(name), name])).values()]

function reviewOne(
  { migration, statements, broken }: Read,
  options: ReviewOptions,
  facts: DatabaseFacts | undefined,
  made: Set<string>,
): Pick<Review, 'findings' | 'locks'> {
  const { version, transactional, phase, hasDown } = migration
  const findings: Finding[] = []
  const locks: ExpectedLock[] = []
  const add = (line: number, { rule, level, text }: Fault): void => {
    findings.push(waivedOr({ rule, version, line, level, text }, migration, options.waivers))
  }
  if (broken) {
    // A newer server may know what this grammar does not.
    const level = facts && facts.serverMajor > GRAMMAR ? 'warn' : 'stop'
    add(broken.line, { rule: 'syntax', level, text: `${broken.message}, column ${broken.column}` })
  }
  const addedValues = new Set<string>()
  for (const { node, line } of statements) {
    const surroundings = { facts, phase, transactional, hasPrevious: options.hasPrevious, addedValues }
    const { effects, faults, makes } = effectsOf(node, surroundings)
    for (const fault of faults) add(line, fault)
    for (const effect of effects.filter(({ table }) => !made.has(keyOf(table)))) {
      const lock = expected(version, line, effect, facts)
      locks.push(lock)
      const fault = effect.rule && faultOf(effect.rule, effect, lock, options)
      if (fault) add(line, fault)
    }
    for (const table of makes) made.add(keyOf(table))
    if (transactional && 'AlterEnumStmt' in node && node.AlterEnumStmt.newVal !== undefined)
      addedValues.add(node.AlterEnumStmt.newVal)
  }
  if (!hasDown) add(1, { rule: 'no-way-down', level: 'note', text: 'it has no way down' })
  return { findings, locks }
}

function expected(
  version: string,
  line: number,
  { table, mode, work }: Effect,
  facts: DatabaseFacts | undefined,
): ExpectedLock {
  const found = facts?.tables.get(keyOf(table))
  return {
    ...{ version, line, table: keyOf(table), mode, work },
    ...(found === undefined
      ? {}
      : {
          bytes: found.bytes,
          estimateMs: work === 'brief' ? 0 : Math.ceil((found.bytes / BYTES_PER_SECOND[work]) * 1_000),
        }),
  }
}

/** How bad the work is at this size; undefined where the table is not there, so that nobody can wait for it. */
function faultOf(
  rule: RuleName,
  { what }: Effect,
  lock: ExpectedLock,
  { isGateClosed, longestMs }: ReviewOptions,
): Fault {
  const { table, mode, bytes, estimateMs, work } = lock
  if (bytes === undefined || estimateMs === undefined)
    return { rule, level: 'warn', text: `${table}: ${what}; how large it is, is not known` }
  const takes = `some ${seconds(estimateMs)} at ${size(bytes)}`
  const isLong = estimateMs > longestMs
  const whom = isGateClosed
    ? 'the pause gets longer by'
    : work === 'rows'
      ? 'their rows are locked for'
      : mode === 'ACCESS EXCLUSIVE'
        ? 'nobody reads or writes it for'
        : 'writers wait for'
  const level = !isLong ? 'note' : isGateClosed || work === 'rows' ? 'warn' : 'stop'
  return { rule, level, text: `${table}: ${what}; ${whom} ${takes}` }
}

const seconds = (ms: number): string =>
  ms < 1_000 ? `${ms} ms` : ms < 120_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`

/** `-- headgate:waive RULE: reason`, in a comment of the file. */
const IN_FILE = /headgate:waive\s+([a-z-]+)\s*:[ \t]*(\S[^\n]*)/g

function waivedOr(finding: Finding, { sql = '' }: PlannedMigration, waivers: readonly Waiver[]): Finding {
  const inFile = [...sql.matchAll(IN_FILE)].flatMap(([, rule, reason = '']) => {
    const { data } = KnownRule.safeParse(rule)
    return data === undefined ? [] : [{ rule: data, reason: reason.replace(/\*\/\s*$/, '').trim() }]
  })
  const applies = [...inFile, ...waivers].find(
    (waiver) =>
      waiver.rule === finding.rule &&
      (!('version' in waiver) || waiver.version === undefined || waiver.version === finding.version),
  )
  return applies === undefined ? finding : { ...finding, level: 'note', waived: applies.reason }
}
