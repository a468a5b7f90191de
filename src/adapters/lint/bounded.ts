import type { DeleteStmt, UpdateStmt } from 'libpg-query'
import { findAll, isRecord } from './parse.js'

/**
 * Whether the condition says itself how many rows there are at most: those of a limit or of values that are written out, one of a
 * unique key, a range of it with both its ends. `keys`: the columns of each unique index.
 */
export function isBounded(statement: UpdateStmt | DeleteStmt, keys: readonly (readonly string[])[]): boolean {
  const { whereClause, withClause } = statement
  const others = 'fromClause' in statement ? statement.fromClause : (statement as DeleteStmt).usingClause
  const chosen = findAll(whereClause, 'SubLink').filter(({ subLinkType }) => MANY.has(String(subLinkType)))
  const sources = [withClause, others, chosen]
  if (['limitCount', 'valuesLists'].some((kind) => findAll(sources, kind).length > 0)) return true
  if (isRecord(whereClause) && 'CurrentOfExpr' in whereClause) return true
  const fixed = fixedColumns(conditionsOf(whereClause))
  return keys.some((key) => key.every((column) => fixed.has(column)))
}

/** Subqueries that may give many rows, and are not only asked whether they give any. */
const MANY = new Set(['ANY_SUBLINK', 'ARRAY_SUBLINK'])

/** What must hold all together. */
function conditionsOf(condition: unknown): Record<string, unknown>[] {
  if (!isRecord(condition)) return []
  const { BoolExpr: joined, A_Expr: compared } = condition
  if (isRecord(joined) && joined.boolop === 'AND_EXPR' && Array.isArray(joined.args))
    return joined.args.flatMap(conditionsOf)
  return isRecord(compared) ? [compared] : []
}

/** Columns that are compared with values: equal to one, one of a few, or between two. */
function fixedColumns(conditions: readonly Record<string, unknown>[]): Set<string> {
  const fixed = new Set<string>()
  const above = new Set<string>()
  const below = new Set<string>()
  for (const { kind, name, lexpr, rexpr } of conditions) {
    const [left, right] = [columnOf(lexpr), columnOf(rexpr)]
    const column = left !== undefined && isValue(rexpr) ? left : isValue(lexpr) ? right : undefined
    const [{ sval: operator } = {}] = findAll(name, 'String')
    if (column === undefined) continue
    if (kind === 'AEXPR_BETWEEN' || (operator === '=' && EQUAL.has(String(kind)))) fixed.add(column)
    const isAbove = String(operator).startsWith('>') === (column === left)
    if (kind === 'AEXPR_OP' && /^[<>]=?$/.test(String(operator))) (isAbove ? above : below).add(column)
  }
  for (const column of above) if (below.has(column)) fixed.add(column)
  return fixed
}

const EQUAL = new Set(['AEXPR_OP', 'AEXPR_IN', 'AEXPR_OP_ANY'])

function columnOf(side: unknown): string | undefined {
  const [{ sval } = {}] = isRecord(side) && 'ColumnRef' in side ? findAll(side, 'String').slice(-1) : []
  return typeof sval === 'string' ? sval : undefined
}

/** Nothing that differs from row to row. */
function isValue(side: unknown): boolean {
  if (isRecord(side) && isRecord(side.SubLink)) return side.SubLink.subLinkType === 'EXPR_SUBLINK'
  return isRecord(side) && findAll(side, 'ColumnRef').length === 0
}
