import type {
  AlterDomainStmt,
  AlterEnumStmt,
  AlterObjectSchemaStmt,
  DeleteStmt,
  DropStmt,
  IndexStmt,
  LockStmt,
  Node,
  RangeVar,
  ReindexStmt,
  RenameStmt,
  UpdateStmt,
  VacuumStmt,
} from 'libpg-query'
import { ofAlterTable } from './alter-table.js'
import {
  all,
  alone,
  breaking,
  type Effects,
  EXCLUSIVE,
  type Fault,
  named,
  NOTHING,
  onTable,
  type Surroundings,
  madeBy,
  tablesOf,
} from './effect.js'
import { isBounded } from './bounded.js'
import { keyOf, type Named } from './facts.js'
import { findAll, isRecord, lastOf } from './parse.js'
import { unnamedIn } from './unnamed.js'

/** What one statement takes, does and breaks, by its kind. Kinds that are not here are not looked at. */
export function effectsOf(node: Node, around: Surroundings): Effects {
  const seen = byKind(node, around)
  const found = { ...seen, faults: [...seen.faults, ...unnamedIn(node)] }
  const used = findAll(node, 'A_Const')
    .map(({ sval }) => (isRecord(sval) ? sval.sval : undefined))
    .filter((value): value is string => typeof value === 'string' && around.addedValues.has(value))
  if (used.length === 0 || 'AlterEnumStmt' in node) return found
  const fault: Fault = {
    rule: 'enum-value-in-same-transaction',
    level: 'warn',
    text: `'${used[0]}' was added to an enum in the same transaction: where this is that value, the server will refuse it`,
  }
  return { ...found, faults: [...found.faults, fault] }
}

function byKind(node: Node, around: Surroundings): Effects {
  if ('AlterTableStmt' in node) return ofAlterTable(node.AlterTableStmt, around)
  if ('IndexStmt' in node) return ofIndex(node.IndexStmt, around)
  if ('CreateStmt' in node || 'CreateTableAsStmt' in node) return ofNewTable(node, around)
  if ('RenameStmt' in node) return ofRename(node.RenameStmt, around)
  if ('DropStmt' in node) return ofDrop(node.DropStmt, around)
  if ('AlterObjectSchemaStmt' in node) return ofMove(node.AlterObjectSchemaStmt, around)
  if ('AlterEnumStmt' in node) return ofEnum(node.AlterEnumStmt, around)
  if ('AlterDomainStmt' in node) return ofDomain(node.AlterDomainStmt)
  if ('MergeStmt' in node) return onTable(node.MergeStmt.relation, 'ROW EXCLUSIVE', 'brief', 'rows are merged')
  if ('TruncateStmt' in node) return onTables(tablesOf(node.TruncateStmt.relations), 'is emptied')
  if ('LockStmt' in node) return ofLock(node.LockStmt)
  if ('VacuumStmt' in node) return ofVacuum(node.VacuumStmt)
  if ('ClusterStmt' in node)
    return onTable(node.ClusterStmt.relation, EXCLUSIVE, 'rewrite', 'is written anew (cluster)', 'table-rewrite')
  if ('RefreshMatViewStmt' in node && !node.RefreshMatViewStmt.concurrent)
    return onTable(node.RefreshMatViewStmt.relation, EXCLUSIVE, 'rewrite', 'is computed anew', 'table-rewrite')
  if ('ReindexStmt' in node) return ofReindex(node.ReindexStmt, around)
  if ('UpdateStmt' in node) return ofRows(node.UpdateStmt, 'updated', around)
  if ('DeleteStmt' in node) return ofRows(node.DeleteStmt, 'deleted', around)
  if ('CreateTrigStmt' in node)
    return onTable(node.CreateTrigStmt.relation, 'SHARE ROW EXCLUSIVE', 'brief', 'gets a trigger')
  if ('DoStmt' in node) return { ...NOTHING, faults: [{ rule: 'not-read', level: 'note', text: 'a DO block' }] }
  return NOTHING
}

function ofIndex({ relation, concurrent, idxname = 'without a name' }: IndexStmt, around: Surroundings): Effects {
  if (!concurrent) return onTable(relation, 'SHARE', 'index', `index ${idxname} is built`, 'index-without-concurrently')
  const effects = onTable(relation, 'SHARE UPDATE EXCLUSIVE', 'brief', `index ${idxname}`)
  return { ...effects, faults: [...alone(around, 'create index'), ...onPartitioned(relation, around)] }
}

function ofNewTable(node: Node, { facts }: Surroundings): Effects {
  const mayBeThere = 'CreateStmt' in node && node.CreateStmt.if_not_exists
  const isThere = (table: Named): boolean => facts?.tables.has(keyOf(table)) !== false
  return { ...NOTHING, makes: named(madeBy(node)).filter((table) => !mayBeThere || !isThere(table)) }
}

function ofDrop({ removeType, objects = [], concurrent }: DropStmt, around: Surroundings): Effects {
  if (removeType === 'OBJECT_INDEX' && concurrent) return { ...NOTHING, faults: alone(around, 'drop index') }
  if (removeType === 'OBJECT_INDEX') return all(objects.map((object) => ofDroppedIndex(nameOfObject(object), around)))
  const kind = BREAKING[removeType ?? '']
  if (kind === undefined) return NOTHING
  const names = objects.map(nameOfObject)
  const faults = names
    .filter(({ name }) => !around.remade.has(name))
    .flatMap((name) => breaking(around, `${kind} ${keyOf(name)} is dropped`, name))
  return { ...(kind === 'table' ? onTables(names, 'is dropped') : NOTHING), faults }
}

/** Its table is locked for a moment; who reads it for long keeps everybody waiting behind us. */
function ofDroppedIndex(index: Named, { facts }: Surroundings): Effects {
  const table = facts?.indexes.get(keyOf(index))
  if (!table) return NOTHING
  const text = `${keyOf(table)}: index ${keyOf(index)} is dropped, and nobody reads or writes it until we have the lock`
  return {
    ...onTables([table], `index ${keyOf(index)} is dropped`),
    faults: [{ rule: 'index-without-concurrently', level: 'note', text, of: table }],
  }
}

function ofMove({ objectType, relation, object, newschema }: AlterObjectSchemaStmt, around: Surroundings): Effects {
  const kind = BREAKING[objectType ?? '']
  const [table] = named(relation)
  const name = table ?? (object && nameOfObject(object))
  const effects = objectType === 'OBJECT_TABLE' ? onTable(relation, EXCLUSIVE, 'brief', 'gets another schema') : NOTHING
  if (kind === undefined || name === undefined) return effects
  return { ...effects, faults: breaking(around, `${kind} ${keyOf(name)} is moved to schema ${newschema}`, name) }
}

/** A new value is followed by whoever looks at the whole file. */
function ofEnum({ typeName, oldVal, newVal }: AlterEnumStmt, around: Surroundings): Effects {
  if (oldVal === undefined) return NOTHING
  return { ...NOTHING, faults: breaking(around, `value '${oldVal}' of ${lastOf(typeName)} is renamed to '${newVal}'`) }
}

const DOMAIN_SCANS: Record<string, string> = {
  C: 'gets a constraint',
  O: 'is set not null',
  V: 'is validated',
}

/** Which tables have columns of it, and how large they are, is not looked up. */
function ofDomain({ subtype, typeName, def }: AlterDomainStmt): Effects {
  const what = DOMAIN_SCANS[subtype ?? '']
  const isChecked = findAll({ def }, 'Constraint').every(({ skip_validation: skips }) => skips !== true)
  if (what === undefined || !isChecked) return NOTHING
  const text = `domain ${lastOf(typeName)} ${what}: every table with a column of it is read through`
  return { ...NOTHING, faults: [{ rule: 'constraint-scans', level: 'warn', text }] }
}

function ofLock({ relations, mode: number = 8 }: LockStmt): Effects {
  const mode = LOCK_MODES[number] ?? EXCLUSIVE
  const tables = tablesOf(relations)
  const faults = tables.map(
    (table): Fault => ({
      rule: 'explicit-lock',
      level: 'warn',
      text: `${keyOf(table)} is locked ${mode} until the transaction ends`,
    }),
  )
  return { ...onTables(tables, 'is locked by hand', mode), faults }
}

function ofVacuum({ is_vacuumcmd: isVacuum, options, rels = [] }: VacuumStmt): Effects {
  const isFull = findAll(options, 'DefElem').some(({ defname }) => defname === 'full')
  if (!isVacuum || !isFull) return NOTHING
  const relations = rels.flatMap((rel) => ('VacuumRelation' in rel ? [rel.VacuumRelation.relation] : []))
  return all(
    relations.map((relation) =>
      onTable(relation, EXCLUSIVE, 'rewrite', 'is written anew (vacuum full)', 'table-rewrite'),
    ),
  )
}

function ofReindex({ params, kind, relation }: ReindexStmt, around: Surroundings): Effects {
  const isConcurrent = findAll(params, 'DefElem').some(({ defname }) => defname === 'concurrently')
  if (isConcurrent) return { ...NOTHING, faults: alone(around, 'reindex') }
  if (kind === 'REINDEX_OBJECT_INDEX') return ofReindexed(named(relation), around)
  if (kind !== 'REINDEX_OBJECT_TABLE') return NOTHING
  return onTable(relation, 'SHARE', 'index', 'gets its indexes anew', 'index-without-concurrently')
}

const ofReindexed = (indexes: readonly Named[], { facts }: Surroundings): Effects => ({
  ...NOTHING,
  effects: indexes.flatMap((index) => {
    const table = facts?.indexes.get(keyOf(index))
    const what = `index ${keyOf(index)} is built anew`
    return table ? [{ table, mode: 'SHARE', work: 'index', what, rule: 'index-without-concurrently' }] : []
  }),
})

/** Changes of the catalog alone. */
const onTables = (tables: readonly Named[], what: string, mode = EXCLUSIVE): Effects => ({
  ...NOTHING,
  effects: tables.map((table) => ({ table, mode, work: 'brief', what })),
})

/** As `DropStmt.removeType` says it, and what it is to those who use it. */
const BREAKING: Record<string, string> = {
  OBJECT_TABLE: 'table',
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'domain',
  OBJECT_FUNCTION: 'function',
  OBJECT_PROCEDURE: 'procedure',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_SCHEMA: 'schema',
}

/** PostgreSQL's numbers, src/include/storage/lockdefs.h. */
const LOCK_MODES = [
  ...['', 'ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE'],
  ...['SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', EXCLUSIVE],
]

function onPartitioned(relation: RangeVar | undefined, { facts }: Surroundings): Fault[] {
  return named(relation)
    .filter((table) => facts?.tables.get(keyOf(table))?.isPartitioned)
    .map((table) => ({
      ...{ rule: 'index-without-concurrently', level: 'stop', of: table },
      text: `${keyOf(table)} is partitioned: the server builds no index on it concurrently; create it on only the parent, concurrently on each partition, and attach those`,
    }))
}

function ofRename({ renameType, relation, relationType, subname, newname }: RenameStmt, around: Surroundings): Effects {
  const isColumn = renameType === 'OBJECT_COLUMN'
  const [table] = named(relation)
  const kind = isColumn ? 'column' : BREAKING[renameType ?? '']
  const what = isColumn ? `${subname} of ${table ? keyOf(table) : 'a type'}` : table ? keyOf(table) : 'it'
  const effects =
    isColumn ||
    renameType === 'OBJECT_TABLE' ||
    renameType === 'OBJECT_TABCONSTRAINT' ||
    relationType === 'OBJECT_TABLE'
      ? onTable(relation, EXCLUSIVE, 'brief', 'is renamed, or something of it')
      : NOTHING
  return kind === undefined
    ? effects
    : { ...effects, faults: breaking(around, `${kind} ${what} is renamed to ${newname}`, table) }
}

function ofRows(statement: UpdateStmt | DeleteStmt, what: string, { facts }: Surroundings): Effects {
  const { relation, whereClause } = statement
  const rule = 'data-in-one-transaction'
  if (whereClause === undefined) return onTable(relation, 'ROW EXCLUSIVE', 'rows', `all rows are ${what} at once`, rule)
  const some = onTable(relation, 'ROW EXCLUSIVE', 'brief', `rows are ${what}`)
  const [table] = named(relation)
  if (!table || isBounded(statement, facts?.tables.get(keyOf(table))?.keys ?? [])) return some
  // How many a condition leaves nobody can tell from outside.
  const many = `rows are ${what} at once, as many as the condition leaves`
  return onTable(relation, 'ROW EXCLUSIVE', 'brief', many, rule, 'rows')
}

/** Of a `DropStmt`: a list of names, or a type, or a function with its arguments. */
export function nameOfObject(object: Node): Named {
  const strings =
    'List' in object
      ? object.List.items
      : 'TypeName' in object
        ? object.TypeName.names
        : 'ObjectWithArgs' in object
          ? object.ObjectWithArgs.objname
          : [object]
  const parts = (strings ?? []).flatMap((item) => ('String' in item ? (item.String.sval ?? []) : []))
  return { schema: parts.at(-2), name: parts.at(-1) ?? 'without a name' }
}
