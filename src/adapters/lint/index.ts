import { setImmediate as turn } from 'node:timers/promises'
import type { Client } from 'pg'
import { size } from '../../domain/amounts.js'
import { LONGEST_SHOWN } from '../../domain/migration.js'
import type { PlannedMigration } from '../../domain/plan.js'
import type { ExpectedLock, Finding, Review, RuleName, Waiver } from '../../domain/review.js'
import { functionOf } from './alter-table.js'
import { type Effect, type Fault, madeBy, named } from './effect.js'
import { effectsOf, nameOfObject } from './effects.js'
import { type DatabaseFacts, keyOf, type Named, readFacts } from './facts.js'
import { findAll, lastOf, type NotParsed, parse, type Parsed } from './parse.js'
import { namesMade, Release } from './release.js'
import { waivedOr, waiversOf } from './waivers.js'

export interface ReviewOptions {
  /** Whether an image runs that the release replaces, or a way back would bring again. */
  hasPrevious: boolean
  /** Whether writers and readers are out while it is done: then nobody waits, and only the pause is longer. */
  isGateClosed: boolean
  /** What may be held, or how long the pause may get longer, by one statement. */
  longestMs: number
  waivers: readonly Waiver[]
  /** Whether consecutive migrations may run in one transaction together. */
  sharesTransaction?: boolean
  /** The SQL of the ways down, by version, where it can be had. */
  waysDown?: ReadonlyMap<string, string>
}

/** By the size alone: orders of magnitude, as docs/review.md says. */
const BYTES_PER_SECOND = { scan: 400e6, index: 50e6, rewrite: 50e6, rows: 25e6 }

/** Findings, and locks, of one answer: it crosses Temporal, which takes 2 MB. */
const MOST = 1_000

/** Of long migrations together, in characters: each takes a hundred times as much memory while it is looked at. */
const MOST_LONG_SQL = 4_194_304

/** The highest version whose grammar `parse` has. */
const GRAMMAR = 18

interface Read {
  migration: PlannedMigration
  statements: Parsed[]
  broken: NotParsed | undefined
}

/** Looks at pending migrations before they run. `session`: only looks; without one nothing is known of sizes and types. */
export async function review(
  migrations: readonly PlannedMigration[],
  options: ReviewOptions,
  session?: Client,
): Promise<Review> {
  const { within, beyond } = apart(migrations.filter(({ sql }) => sql !== undefined))
  const read: Read[] = []
  // The grammar leaves nobody else a turn.
  for (const migration of within) {
    await turn()
    read.push(await readOne(migration))
  }
  const facts = session && (await readFacts(session, namesIn(read)))
  const release = new Release()
  const downs = new Map<string, Parsed[]>()
  for (const [version, sql] of options.waysDown ?? []) {
    const answer = await parse(sql)
    if (Array.isArray(answer)) downs.set(version, answer)
  }
  let addedValues = new Set<string>()
  const parts = read.map((one) => {
    if (!options.sharesTransaction || !one.migration.transactional) addedValues = new Set()
    return reviewOne(one, options, facts, release, { addedValues, wayDown: downs.get(one.migration.version) })
  })
  return {
    findings: mostOf([
      ...parts.flatMap(({ findings }) => findings),
      ...beyond.map((one) => leftOut(one, options.waivers)),
    ]),
    locks: parts.flatMap(({ locks }) => locks).slice(0, MOST),
    unread: migrations.filter((one) => one.sql === undefined || beyond.includes(one)).map(({ version }) => version),
  }
}

/** Each one that could be shown, and of longer ones as many as can be held at once. */
function apart(migrations: readonly PlannedMigration[]): Record<'within' | 'beyond', PlannedMigration[]> {
  let room = MOST_LONG_SQL
  const beyond = migrations.filter(({ sql = '' }) => {
    const isLong = sql.length > LONGEST_SHOWN
    if (isLong) room -= sql.length
    return isLong && room < 0
  })
  return { within: migrations.filter((one) => !beyond.includes(one)), beyond }
}

function leftOut(migration: PlannedMigration, waivers: readonly Waiver[]): Finding {
  const text = `its SQL is not looked at: the release has more than ${size(MOST_LONG_SQL)} in migrations of this length`
  const finding: Finding = { rule: 'not-read', version: migration.version, line: 1, level: 'warn', text }
  return waivedOr(finding, waiversOf(migration, waivers))
}

/** In their order; where there are more than can be told, the worst of them. */
function mostOf(findings: Finding[]): Finding[] {
  if (findings.length <= MOST) return findings
  const worst = new Set(WORST_FIRST.flatMap((level) => findings.filter((one) => one.level === level)).slice(0, MOST))
  return findings.filter((one) => worst.has(one))
}

const WORST_FIRST = ['stop', 'warn', 'note'] as const

async function readOne(migration: PlannedMigration): Promise<Read> {
  const answer = await parse(migration.sql ?? '')
  if (Array.isArray(answer)) return { migration, statements: answer, broken: undefined }
  return { migration, statements: [], broken: answer }
}

/** Every table and function that is named anywhere. */
function namesIn(read: readonly Read[]): { tables: Named[]; functions: Named[]; indexes: Named[] } {
  const nodes = read.flatMap(({ statements }) => statements.map(({ node }) => node))
  const parts = findAll(nodes, 'PartitionCmd').flatMap((part) => findAll({ part: part.name }, 'part'))
  const ranges = [...['RangeVar', 'relation', 'pktable'].flatMap((kind) => findAll(nodes, kind)), ...parts]
  const tables = ranges.flatMap(({ schemaname, relname }) =>
    typeof relname === 'string'
      ? [{ schema: typeof schemaname === 'string' ? schemaname : undefined, name: relname }]
      : [],
  )
  const indexes = nodes.flatMap((node) => [
    ...('DropStmt' in node && node.DropStmt.removeType === 'OBJECT_INDEX'
      ? (node.DropStmt.objects ?? []).map(nameOfObject)
      : []),
    ...('ReindexStmt' in node && node.ReindexStmt.kind === 'REINDEX_OBJECT_INDEX'
      ? named(node.ReindexStmt.relation)
      : []),
  ])
  const functions = unique(findAll(nodes, 'FuncCall').map(functionOf))
  return { tables: unique(tables), functions, indexes: unique(indexes) }
}

const unique = (names: readonly Named[]): Named[] => [...new Map(names.map((name) => [keyOf(name), name])).values()]

function reviewOne(
  { migration, statements, broken }: Read,
  options: ReviewOptions,
  facts: DatabaseFacts | undefined,
  release: Release,
  { addedValues, wayDown }: { addedValues: Set<string>; wayDown: Parsed[] | undefined },
): Pick<Review, 'findings' | 'locks'> {
  const { version, transactional, phase, hasDown } = migration
  const findings = new Map<string, Finding>()
  const locks = new Map<string, ExpectedLock>()
  const waivers = waiversOf(migration, options.waivers)
  // The same thing of the same table is said once, where it stands first.
  const add = (line: number, { rule, level, text }: Fault): void => {
    if (!findings.has(text)) findings.set(text, waivedOr({ rule, version, line, level, text }, waivers))
  }
  if (broken) {
    // A newer server may know what this grammar does not.
    const level = broken.isCertain && !(facts && facts.serverMajor > GRAMMAR) ? 'stop' : 'warn'
    add(broken.line, { rule: 'syntax', level, text: `${broken.message}, column ${broken.column}` })
  }
  const remade = namesMade(statements)
  const temporary = new Set<string>()
  const isOwn = (table: Named | undefined): boolean => release.isOwn(table) || temporary.has(table?.name ?? '')
  for (const { node, line } of statements) {
    const { hasPrevious } = options
    const { provenNotNull } = release
    const around = { facts, phase, transactional, hasPrevious, addedValues, remade, provenNotNull }
    const { effects, faults, makes } = effectsOf(node, around)
    for (const fault of faults.filter(({ of }) => !isOwn(of))) add(line, fault)
    for (const effect of effects.filter(({ table }) => !isOwn(table))) {
      const lock = expected(version, line, effect, facts)
      const key = `${lock.table} ${lock.mode} ${lock.work}`
      if (!locks.has(key)) locks.set(key, lock)
      const fault = effect.rule && faultOf(effect.rule, effect, atMost(lock, effect, facts), options)
      if (fault) add(line, fault)
    }
    for (const table of makes) {
      // A temporary one goes with the migration's session.
      if (madeBy(node)?.relpersistence === 't') temporary.add(table.name)
      else release.makes(table)
    }
    release.learn(node)
    if (transactional) for (const value of addedTo(node)) addedValues.add(value)
    const left = wayDown && enumLeftBy(wayDown, node)
    if (left !== undefined)
      add(line, {
        rule: 'enum-left-by-way-down',
        level: 'warn',
        text: `type ${left} is not dropped on the way down: the way up fails after it`,
      })
  }
  if (!hasDown) add(1, { rule: 'no-way-down', level: 'note', text: 'it has no way down' })
  return { findings: [...findings.values()], locks: [...locks.values()] }
}

/** The value that is new in an enum. */
const addedTo = (node: Parsed['node']): string[] =>
  'AlterEnumStmt' in node && node.AlterEnumStmt.oldVal === undefined && node.AlterEnumStmt.newVal !== undefined
    ? [node.AlterEnumStmt.newVal]
    : []

/** The name of the enum that the statement makes and the way down leaves; a schema that is dropped takes its types along. */
function enumLeftBy(wayDown: readonly Parsed[], node: Parsed['node']): string | undefined {
  const made = 'CreateEnumStmt' in node ? lastOf(node.CreateEnumStmt.typeName) : undefined
  if (made === undefined) return undefined
  const isDropped = wayDown.some(
    ({ node: one }) =>
      'DropStmt' in one &&
      (one.DropStmt.removeType === 'OBJECT_SCHEMA' ||
        (one.DropStmt.removeType === 'OBJECT_TYPE' &&
          (one.DropStmt.objects ?? []).some((object) => nameOfObject(object).name === made))),
  )
  return isDropped || wayDown.some(({ node: one }) => 'DoStmt' in one) ? undefined : made
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

/** The lock with the work that it may come to. */
const atMost = (lock: ExpectedLock, effect: Effect, facts: DatabaseFacts | undefined): ExpectedLock =>
  effect.mayBe === undefined ? lock : expected(lock.version, lock.line, { ...effect, work: effect.mayBe }, facts)

/** How bad the work is at this size, and whom it keeps waiting; undefined where that is not even sure, and would be nothing. */
function faultOf(
  rule: RuleName,
  { what, mayBe }: Effect,
  lock: ExpectedLock,
  { isGateClosed, longestMs }: ReviewOptions,
): Fault | undefined {
  const { table, mode, bytes, estimateMs, work } = lock
  if (mayBe !== undefined && (estimateMs === undefined || estimateMs <= longestMs)) return undefined
  if (bytes === undefined || estimateMs === undefined)
    return { rule, level: 'warn', text: `${table}: ${what}; how large it is, is not known` }
  const takes = `${mayBe === undefined ? 'some' : 'up to'} ${seconds(estimateMs)} at ${size(bytes)}`
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
