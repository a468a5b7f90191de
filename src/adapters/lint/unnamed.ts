import type { Node } from 'libpg-query'
import { type Fault, named } from './effect.js'
import { keyOf } from './facts.js'

/** Kinds that a way down has to name; a primary key is found without. */
const NAMED_BY_SERVER: readonly unknown[] = ['CONSTR_CHECK', 'CONSTR_FOREIGN', 'CONSTR_UNIQUE', 'CONSTR_EXCLUSION']

/** Constraints whose names the server chooses, of a table or of a column of its own: one finding for the statement. */
export function unnamedIn(node: Node): Fault[] {
  const { relation, parts } = partsOf(node)
  const [table] = relation?.relpersistence === 't' ? [] : named(relation)
  const places = new Set(parts.flatMap(placeOf))
  if (!table || places.size === 0) return []
  const text = `${keyOf(table)} has constraints without a name: on ${[...places].join(', ')}`
  return [{ rule: 'unnamed-constraint', level: 'note', text }]
}

/** The columns and constraints that it brings. */
function partsOf(node: Node) {
  if ('CreateStmt' in node) return { relation: node.CreateStmt.relation, parts: node.CreateStmt.tableElts ?? [] }
  if (!('AlterTableStmt' in node)) return { relation: undefined, parts: [] }
  const { relation, cmds = [], objtype } = node.AlterTableStmt
  const brings = (cmd: Node): Node[] => ('AlterTableCmd' in cmd && cmd.AlterTableCmd.def ? [cmd.AlterTableCmd.def] : [])
  return { relation, parts: objtype === 'OBJECT_TABLE' ? cmds.flatMap(brings) : [] }
}

function placeOf(part: Node): string[] {
  if ('Constraint' in part) return isUnnamed(part) ? ['the table'] : []
  if (!('ColumnDef' in part) || !part.ColumnDef.constraints?.some(isUnnamed)) return []
  return [part.ColumnDef.colname ?? '']
}

/** One that takes an index has that one's name. */
const isUnnamed = (node: Node): boolean =>
  'Constraint' in node &&
  node.Constraint.conname === undefined &&
  node.Constraint.indexname === undefined &&
  NAMED_BY_SERVER.includes(node.Constraint.contype)
