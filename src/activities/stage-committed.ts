import { splitStatements } from '../adapters/postgres/sql-statements.js'
import { isSeenInSchema } from '../adapters/postgres/statement-kind.js'
import type { StateComparison } from '../adapters/postgres/unchanged.js'
import type { Ledger } from '../domain/migration.js'
import { isUndo, type PlannedMigration, stillToDo } from '../domain/plan.js'
import { captureOf, compareWithCapture, hasAnybodyCommitted } from './capture.js'
import type { Step } from './changing.js'

/**
 * Whether anything of the stage has committed; it waits for no lock, and can be asked while the migration runs. Where nobody
 * in the cluster has committed nothing has. Else the ledger tells: what is transactional commits together with its row
 * there. One that leaves its transaction and may be under way counts as committed, and so does all of a tool's whose ledger
 * is its own affair.
 */
export async function hasCommitted(step: Step): Promise<boolean> {
  const { site, plan, stage } = step
  const capture = await captureOf(step)
  if (!capture || !(await hasAnybodyCommitted(step, capture))) return false
  if (site.migrator.ledgerTable === undefined) return true
  const ledger = await step.onTarget((session) => site.migrator.ledger(session, plan.tag))
  if (!stage) return false
  const left = stillToDo(stage, ledger)
  const isHalfDone = left.some(({ version }) => version === ledger.dirty)
  return isHalfDone || left.length < stage.migrations.length || left[0]?.transactional === false
}

/** What is new in the schema. A sequence moves without a commit, and where the gate is open by others. */
const inSchema = (seen: StateComparison): string[] => [
  ...seen.schemaDifferences,
  ...seen.rewrittenTables,
  ...seen.newInvalidIndexes,
]

/**
 * Whether the ledger, once no session of the stage is left, tells all that the stage has come to, whoever else has written
 * meanwhile: a migration in its transaction commits together with its row there, and one outside of it that would be seen
 * in the schema has not begun where nothing is there.
 */
export async function isLedgerAll(step: Step, seen: StateComparison, ledger: Ledger): Promise<boolean> {
  const { stage } = step
  if (step.site.migrator.ledgerTable === undefined || !stage || ledger.dirty !== undefined) return false
  const [next, ...later] = stillToDo(stage, ledger)
  if (!next || later.length + 1 < stage.migrations.length) return next?.transactional !== false
  // One that ends its transaction itself is not what it says: as long as the ledger has nothing, the schema must have nothing.
  return inSchema(seen).length === 0 && (next.transactional || (await isAllInSchema(step, next)))
}

/** Whether all that the migration does would be seen there; not where its SQL is not known. */
async function isAllInSchema({ site, plan, stage, onTarget }: Step, { version }: PlannedMigration): Promise<boolean> {
  const tag = plan.tag ?? ''
  const files = isUndo(stage?.phase)
    ? await onTarget(async (session) =>
        site.migrator.waysDown?.({ tag, target: stage?.target ?? '' }, await site.migrator.ledger(session, plan.tag)),
      )
    : await site.migrator.migrations(tag)
  const sql = files?.find((file) => file.version === version)?.sql
  return sql !== undefined && splitStatements(sql).every(isSeenInSchema)
}

/** As `hasCommitted`, once no session of the stage is left: then also what no ledger tells of is looked for. */
export async function hasLeftSomething(step: Step): Promise<boolean> {
  const capture = await captureOf(step)
  if (!capture) return false
  const seen = await step.onTarget((session) => compareWithCapture(step, session, capture))
  if (seen.unchanged) return false
  return inSchema(seen).length > 0 || hasCommitted(step)
}
