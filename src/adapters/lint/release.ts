import type { Node } from 'libpg-query'
import { madeBy } from './effect.js'
import { keyOf, type Named } from './facts.js'
import { findAll, isRecord, lastOf, type Parsed } from './parse.js'

/** What the migrations before, of the same release, have done. */
export class Release {
  /** Tables that it makes: nobody waits for them. */
  readonly #made = new Set<string>()
  /** `table.constraint` of a check that says `is not null` → `table.column`. */
  readonly #checks = new Map<string, string>()
  readonly provenNotNull = new Set<string>()

  makes(table: Named): void {
    this.#made.add(inPublic(table))
  }

  isOwn(table: Named | undefined): boolean {
    return table !== undefined && this.#made.has(inPublic(table))
  }

  /** Follows checks that are added and validated. */
  learn(node: Node): void {
    if (!('AlterTableStmt' in node)) return
    const { relation, cmds = [] } = node.AlterTableStmt
    const table = keyOf({ schema: relation?.schemaname, name: relation?.relname ?? '' })
    for (const { subtype, name, def } of findAll(cmds, 'AlterTableCmd')) {
      const [constraint] = findAll({ def }, 'Constraint')
      if (subtype === 'AT_AddConstraint' && constraint?.contype === 'CONSTR_CHECK') {
        const column = notNullColumn(constraint.raw_expr)
        if (column === undefined) continue
        this.#checks.set(`${table}.${String(constraint.conname)}`, `${table}.${column}`)
        if (constraint.skip_validation !== true) this.provenNotNull.add(`${table}.${column}`)
      }
      const validated = subtype === 'AT_ValidateConstraint' ? this.#checks.get(`${table}.${String(name)}`) : undefined
      if (validated !== undefined) this.provenNotNull.add(validated)
    }
  }
}

/** `public.orders` and `orders` are one: what else the search path holds is not known here. */
const inPublic = ({ schema, name }: Named): string => keyOf({ schema: schema ?? 'public', name })

/** The column of `check (column is not null)`, and of nothing more. */
function notNullColumn(expression: unknown): string | undefined {
  const test = isRecord(expression) ? expression.NullTest : undefined
  if (!isRecord(test) || test.nulltesttype !== 'IS_NOT_NULL') return undefined
  const [column] = findAll(test.arg, 'String')
  return typeof column?.sval === 'string' ? column.sval : undefined
}

/** What is made anew beside being dropped: views, functions, tables, types. */
export function namesMade(statements: readonly Parsed[]): Set<string> {
  const names = statements.flatMap(({ node }) => {
    if ('ViewStmt' in node) return [node.ViewStmt.view?.relname]
    if ('CreateFunctionStmt' in node) return [lastOf(node.CreateFunctionStmt.funcname)]
    if ('CreateEnumStmt' in node) return [lastOf(node.CreateEnumStmt.typeName)]
    return [madeBy(node)?.relname]
  })
  return new Set(names.filter((name) => name !== undefined))
}
