import type { AlterTableCmd, AlterTableStmt, ColumnDef, Constraint, TypeName } from 'libpg-query'
import type { RuleName } from '../../domain/review.js'
import {
  all,
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
import { type ColumnFacts, type DatabaseFacts, keyOf, type Named } from './facts.js'
import { findAll, lastOf } from './parse.js'

export function ofAlterTable({ relation, cmds = [], objtype }: AlterTableStmt, around: Surroundings): Effects {
  if (objtype !== 'OBJECT_TABLE') return NOTHING
  const [table] = named(relation)
  if (!table) return NOTHING
  return all(cmds.map((cmd) => ('AlterTableCmd' in cmd ? ofCommand(table, cmd.AlterTableCmd, around) : NOTHING)))
}

function ofCommand(table: Named, { subtype, name = '', def }: AlterTableCmd, around: Surroundings): Effects {
  const one = (mode: string, work: Effect['work'], what: string, rule?: RuleName): Effects => ({
    ...NOTHING,
    effects: [{ table, mode, work, what, ...(rule === undefined ? {} : { rule }) }],
  })
  const facts = around.facts?.tables.get(keyOf(table))
  switch (subtype) {
    case 'AT_AddColumn':
      return def && 'ColumnDef' in def ? ofNewColumn(table, def.ColumnDef, around) : NOTHING
    case 'AT_DropColumn':
      return {
        ...one(EXCLUSIVE, 'brief', `loses column ${name}`),
        faults: breaking(around, `column ${name} of ${keyOf(table)} is dropped`, table),
      }
    case 'AT_AlterColumnType': {
      const column = def && 'ColumnDef' in def ? def.ColumnDef : undefined
      // `using` computes each value; another collation sorts the indexes anew.
      const keeps = !column?.raw_default && keepsStorage(facts?.columns.get(name), column?.typeName)
      if (keeps && column?.collClause)
        return one(
          EXCLUSIVE,
          'index',
          `builds its indexes anew: column ${name} is sorted in another way`,
          'table-rewrite',
        )
      return keeps
        ? one(EXCLUSIVE, 'brief', `column ${name} gets another type, and stays as it is stored`)
        : one(EXCLUSIVE, 'rewrite', `is written anew: column ${name} gets another type`, 'type-change-rewrites')
    }
    case 'AT_SetNotNull':
      return facts?.columns.get(name)?.isCheckedNotNull || around.provenNotNull.has(`${keyOf(table)}.${name}`)
        ? one(EXCLUSIVE, 'brief', `column ${name} must not be null; a check says so already`)
        : one(EXCLUSIVE, 'scan', `is read through: column ${name} must not be null`, 'set-not-null-scans')
    case 'AT_AddConstraint':
      return def && 'Constraint' in def ? ofConstraint(table, def.Constraint) : NOTHING
    case 'AT_ValidateConstraint':
      return one('SHARE UPDATE EXCLUSIVE', 'scan', `constraint ${name} is validated`)
    case 'AT_AttachPartition': {
      const [part] = def && 'PartitionCmd' in def ? named(def.PartitionCmd.name) : []
      const scanned: Effect[] = part
        ? [
            {
              table: part,
              mode: EXCLUSIVE,
              work: 'scan',
              rule: 'constraint-scans',
              what: 'is read through: it becomes a partition',
            },
          ]
        : []
      const own = one('SHARE UPDATE EXCLUSIVE', 'brief', 'gets a partition')
      return { ...own, effects: [...own.effects, ...scanned] }
    }
    case 'AT_SetExpression':
      return one(EXCLUSIVE, 'rewrite', `is written anew: column ${name} is computed in another way`, 'table-rewrite')
    case 'AT_SetStatistics':
    case 'AT_SetOptions':
    case 'AT_ResetOptions':
    case 'AT_SetRelOptions':
    case 'AT_ResetRelOptions':
    case 'AT_ClusterOn':
    case 'AT_DropCluster':
      return one('SHARE UPDATE EXCLUSIVE', 'brief', 'gets another setting')
    case 'AT_EnableTrig':
    case 'AT_DisableTrig':
    case 'AT_EnableTrigAll':
    case 'AT_DisableTrigAll':
    case 'AT_EnableTrigUser':
    case 'AT_DisableTrigUser':
      return one('SHARE ROW EXCLUSIVE', 'brief', 'has a trigger switched')
    case 'AT_SetTableSpace':
    case 'AT_SetLogged':
    case 'AT_SetUnLogged':
    case 'AT_SetAccessMethod':
      return one(EXCLUSIVE, 'rewrite', 'is written anew', 'table-rewrite')
    default:
      return one(EXCLUSIVE, 'brief', 'is changed in the catalog')
  }
}

function ofNewColumn(table: Named, column: ColumnDef, around: Surroundings): Effects {
  const { colname = '', constraints = [], typeName } = column
  const kinds = constraints.flatMap((node) => ('Constraint' in node ? [node.Constraint] : []))
  const of = (type: string): Constraint | undefined => kinds.find(({ contype }) => contype === type)
  const fallback = of('CONSTR_DEFAULT')
  const type = lastOf(typeName?.names) ?? ''
  const isSerial = /^(small|big)?serial[248]?$/.test(type)
  const computes =
    isSerial ||
    around.facts?.constrainedDomains.has(type) ||
    of('CONSTR_IDENTITY') !== undefined ||
    (of('CONSTR_GENERATED') !== undefined && of('CONSTR_GENERATED')?.generated_kind !== 'v') ||
    findAll(fallback?.raw_expr, 'FuncCall').some((call) => isVolatile(call, around.facts))
  const rewriting: Effect = {
    ...{ table, mode: EXCLUSIVE, work: 'rewrite', rule: 'volatile-default' },
    what: `is written anew: column ${colname} is computed for each row`,
  }
  const brief: Effect = { table, mode: EXCLUSIVE, work: 'brief', what: `gets column ${colname}` }
  const mustBeThere = of('CONSTR_NOTNULL') !== undefined || of('CONSTR_PRIMARY') !== undefined
  const isEmpty = around.facts?.tables.get(keyOf(table))?.isEmpty
  const fails: Fault[] =
    !mustBeThere || fallback || computes || (isEmpty === true && !(around.phase === 'expand' && around.hasPrevious))
      ? []
      : [
          {
            of: table,
            rule: 'not-null-without-default',
            level: isEmpty === undefined ? 'warn' : 'stop',
            text: `column ${colname} of ${keyOf(table)} must not be null and has no default: ${
              isEmpty ? 'the image that runs cannot insert any more' : 'it fails where there is a row'
            }`,
          },
        ]
  const further = kinds.filter(({ contype }) => contype !== 'CONSTR_NOTNULL' && contype !== 'CONSTR_DEFAULT')
  const effects = further.flatMap((constraint) => {
    const found = ofConstraint(table, { ...constraint, conname: constraint.conname ?? colname }).effects
    // Without a default the column is null everywhere, and a foreign key has nothing to look at. A check is looked at all the same.
    return constraint.contype === 'CONSTR_FOREIGN' && !fallback ? found.filter(({ work }) => work !== 'scan') : found
  })
  return { ...NOTHING, effects: [computes ? rewriting : brief, ...effects], faults: fails }
}

function ofConstraint(table: Named, constraint: Constraint): Effects {
  const { contype, conname, skip_validation: isLater = false, indexname, pktable } = constraint
  const label = conname ?? 'without a name'
  const one = (mode: string, work: Effect['work'], what: string, rule?: RuleName): Effects => ({
    ...NOTHING,
    effects: [{ table, mode, work, what, ...(rule === undefined ? {} : { rule }) }],
  })
  switch (contype) {
    case 'CONSTR_CHECK':
    case 'CONSTR_NOTNULL':
      return isLater
        ? one(EXCLUSIVE, 'brief', `gets constraint ${label}, not valid yet`)
        : one(EXCLUSIVE, 'scan', `is read through: constraint ${label}`, 'constraint-scans')
    case 'CONSTR_FOREIGN': {
      const mode = 'SHARE ROW EXCLUSIVE'
      const own = isLater
        ? one(mode, 'brief', `gets foreign key ${label}, not valid yet`)
        : one(mode, 'scan', `is read through: foreign key ${label}`, 'constraint-scans')
      const other = onTable(pktable, mode, 'brief', `is what foreign key ${label} leads to`)
      return all([own, other])
    }
    case 'CONSTR_UNIQUE':
    case 'CONSTR_PRIMARY':
    case 'CONSTR_EXCLUSION':
      return indexname
        ? one(EXCLUSIVE, 'brief', `takes index ${indexname} for constraint ${label}`)
        : one(EXCLUSIVE, 'index', `constraint ${label} builds its index`, 'constraint-builds-index')
    default:
      return NOTHING
  }
}

/** Whether values stay as they are stored. PostgreSQL: src/backend/commands/tablecmds.c, ATColumnChangeRequiresRewrite. */
function keepsStorage(now: ColumnFacts | undefined, next: TypeName | undefined): boolean {
  if (!now || !next) return false
  const to = lastOf(next.names) ?? ''
  const modifiers = findAll(next.typmods, 'ival').map(({ ival }) => (typeof ival === 'number' ? ival : 0))
  if ((next.arrayBounds ?? []).length > 0) return false
  const [from, before, after] = [now.type, now.modifiers[0], modifiers[0]]
  const isText = (type: string): boolean => type === 'varchar' || type === 'text'
  const widens = after === undefined || (before !== undefined && after >= before)
  if (isText(from) && isText(to)) return to === 'text' || widens
  if (from === 'cidr' && to === 'inet') return true
  if (from !== to) return false
  if (from === 'numeric') return after === undefined || (widens && (now.modifiers[1] ?? 0) === (modifiers[1] ?? 0))
  if (['varbit', 'timestamp', 'timestamptz', 'time', 'timetz'].includes(from)) return widens
  // The grammar writes an interval's precision second.
  return from !== 'interval' && before === after
}

/** Without facts only what every database computes anew for each row. */
const EVERYWHERE_VOLATILE = new Set([
  'random',
  'gen_random_uuid',
  'uuidv4',
  'uuidv7',
  'uuid_generate_v4',
  'clock_timestamp',
  'timeofday',
  'nextval',
])

function isVolatile(call: Record<string, unknown>, facts: DatabaseFacts | undefined): boolean {
  const name = functionOf(call)
  return facts ? facts.volatile.has(keyOf(name)) : EVERYWHERE_VOLATILE.has(name.name)
}

/** Of a `FuncCall`. */
export function functionOf({ funcname }: Record<string, unknown>): Named {
  const parts = findAll(funcname, 'String').map(({ sval }) => String(sval))
  return { schema: parts.at(-2), name: parts.at(-1) ?? '' }
}
