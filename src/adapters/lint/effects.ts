import type { Node, RangeVar, RenameStmt } from 'libpg-query'
import { ofAlterTable } from './alter-table.js'
import {
  all,
  alone,
  breaking,
  type Effect,
  type Effects,
  EXCLUSIVE,
  type Fault,
  named,
  NOTHING,
  onTable,
  type Surroundings,
} from './effect.js'
import { keyOf, type Named } from './facts.js'
import { findAll } from './parse.js'

/** What one statement takes, does and breaks, by its kind. Kinds that are not here are not looked at. */
export function effectsOf(node: Node, around: Surroundings): Effects {
  const found = byKind(node, around)
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
  if ('IndexStmt' in node) {
    const { relation, concurrent = false, idxname = 'without a name' } = node.IndexStmt
    if (concurrent)
      return {
        ...NOTHING,
        ...onTable(relation, 'SHARE UPDATE EXCLUSIVE', 'brief', `index ${idxname}`),
        faults: [...alone(around, 'create index'), ...onPartitioned(relation, around)],
      }
    return onTable(relation, 'SHARE', 'index', `index ${idxname} is built`, 'index-without-concurrently')
  }
  if ('CreateStmt' in node) {
    const { relation, if_not_exists: mayBeThere = false } = node.CreateStmt
    const isThere = (table: Named): boolean => around.facts?.tables.has(keyOf(table)) !== false
    return { ...NOTHING, makes: named(relation).filter((table) => !mayBeThere || !isThere(table)) }
  }
  if ('CreateTableAsStmt' in node) return { ...NOTHING, makes: named(node.CreateTableAsStmt.into?.rel) }
  if ('RenameStmt' in node) return ofRename(node.RenameStmt, around)
  if ('DropStmt' in node) {
    const { removeType, objects = [], concurrent = false } = node.DropStmt
    const names = objects.map(nameOfObject)
    if (removeType === 'OBJECT_INDEX') return { ...NOTHING, faults: concurrent ? alone(around, 'drop index') : [] }
    const kind = BREAKING[removeType ?? '']
    if (kind === undefined) return NOTHING
    const effects =
      kind === 'table'
        ? names.map((table): Effect => ({ table, mode: EXCLUSIVE, work: 'brief', what: 'is dropped' }))
        : []
    return {
      ...NOTHING,
      effects,
      faults: names
        .filter((name) => !around.remade.has(name.name))
        .flatMap((name) => breaking(around, `${kind} ${keyOf(name)} is dropped`, name)),
    }
  }
  if ('TruncateStmt' in node)
    return all(
      (node.TruncateStmt.relations ?? []).map((relation) =>
        onTable('RangeVar' in relation ? relation.RangeVar : undefined, EXCLUSIVE, 'brief', 'is emptied'),
      ),
    )
  if ('LockStmt' in node) {
    const mode = LOCK_MODES[node.LockStmt.mode ?? 8] ?? EXCLUSIVE
    const tables = (node.LockStmt.relations ?? []).flatMap((relation) =>
      named('RangeVar' in relation ? relation.RangeVar : undefined),
    )
    const faults = tables.map(
      (table): Fault => ({
        rule: 'explicit-lock',
        level: 'warn',
        text: `${keyOf(table)} is locked ${mode} until the transaction ends`,
      }),
    )
    return {
      ...NOTHING,
      effects: tables.map((table) => ({ table, mode, work: 'brief', what: 'is locked by hand' })),
      faults,
    }
  }
  if ('VacuumStmt' in node) {
    const options = findAll(node.VacuumStmt.options, 'DefElem').map(({ defname }) => defname)
    const tables = findAll(node.VacuumStmt.rels, 'VacuumRelation').flatMap(({ relation }) =>
      named(relation as RangeVar | undefined),
    )
    if (!node.VacuumStmt.is_vacuumcmd || !options.includes('full')) return NOTHING
    return {
      ...NOTHING,
      effects: tables.map((table) => ({
        table,
        mode: EXCLUSIVE,
        work: 'rewrite',
        rule: 'table-rewrite',
        what: 'is written anew (vacuum full)',
      })),
    }
  }
  if ('ClusterStmt' in node)
    return onTable(node.ClusterStmt.relation, EXCLUSIVE, 'rewrite', 'is written anew (cluster)', 'table-rewrite')
  if ('RefreshMatViewStmt' in node && !node.RefreshMatViewStmt.concurrent)
    return onTable(node.RefreshMatViewStmt.relation, EXCLUSIVE, 'rewrite', 'is computed anew', 'table-rewrite')
  if ('ReindexStmt' in node) {
    const isConcurrent = findAll(node.ReindexStmt.params, 'DefElem').some(({ defname }) => defname === 'concurrently')
    if (isConcurrent) return { ...NOTHING, faults: alone(around, 'reindex') }
    return onTable(
      node.ReindexStmt.kind === 'REINDEX_OBJECT_TABLE' ? node.ReindexStmt.relation : undefined,
      'SHARE',
      'index',
      'gets its indexes anew',
      'index-without-concurrently',
    )
  }
  if ('UpdateStmt' in node)
    return ofRows(node.UpdateStmt.relation, 'updated', node.UpdateStmt.whereClause === undefined)
  if ('DeleteStmt' in node)
    return ofRows(node.DeleteStmt.relation, 'deleted', node.DeleteStmt.whereClause === undefined)
  if ('CreateTrigStmt' in node)
    return onTable(node.CreateTrigStmt.relation, 'SHARE ROW EXCLUSIVE', 'brief', 'gets a trigger')
  if ('DoStmt' in node) return { ...NOTHING, faults: [{ rule: 'not-read', level: 'note', text: 'a DO block' }] }
  return NOTHING
}

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

function ofRows(relation: RangeVar | undefined, what: string, isAll: boolean): Effects {
  // How many a condition leaves nobody can tell from outside.
  if (!isAll) return onTable(relation, 'ROW EXCLUSIVE', 'brief', `rows are ${what}`)
  return onTable(relation, 'ROW EXCLUSIVE', 'rows', `all rows are ${what} at once`, 'data-in-one-transaction')
}

/** Of a `DropStmt`: a list of names, or a type, or a function with its arguments. */
function nameOfObject(object: Node): Named {
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

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
