import type { Client } from 'pg'
import { listSteps } from '../adapters/journal/steps.js'
import { fingerprint, fingerprintDifferences } from '../adapters/postgres/data-fingerprint.js'
import { closeDatabase, endOthers } from '../adapters/postgres/gate.js'
import type { StateCapture, StateComparison } from '../adapters/postgres/unchanged.js'
import { failedWith } from '../domain/failures.js'
import type { Found } from '../domain/ladder.js'
import type { Manifest } from '../domain/manifest.js'
import { stillToDo } from '../domain/plan.js'
import { compareWithCapture } from './capture.js'
import type { Step } from './changing.js'
import { isLedgerAll } from './stage-committed.js'
import { onClosedOrOpen, takeStock, whyOpen } from './gate.js'

const END_WITHIN_MS = 15_000

/** What is known of the database when the way back begins. */
export interface Around {
  found: Found
  comparison: StateComparison
  /** The newest version in the ledger. */
  version: string
}

/** Collects the facts, cheapest first; hashes of every row only where nothing cheaper decides. */
export async function lookAround(step: Step, capture: StateCapture, backups: readonly Manifest[]): Promise<Around> {
  const { site, run, plan, stage, fence } = step
  await takeStock(step)
  return onClosedOrOpen(step, async (session) => {
    const comparison = await compareWithCapture(step, session, capture)
    // Only behind the gate: once writers were let in they are not to be disturbed again.
    if (run.gate === 'closed' && !comparison.unchanged) await shutOthersOut(step, session)
    const openBecause = plan.noRestoreBecause ?? (await whyOpen(step, 'ours'))
    // Behind the closed gate the database is shut, to a tool that tells its own ledger too; there the ledger decides nothing.
    const ledger =
      openBecause === undefined ? undefined : await site.migrator.ledger(session, plan.tag).catch(() => undefined)
    const planned = stage?.migrations.length ?? 0
    const left = stage && ledger ? stillToDo(stage, ledger) : []
    const steps = await listSteps(site.journal, run.name)
    const onlyXids =
      comparison.schemaDifferences.length +
        comparison.rewrittenTables.length +
        comparison.sequenceDifferences.length +
        comparison.newInvalidIndexes.length ===
      0
    const found: Found = {
      unchanged: comparison.unchanged,
      rowsEqual:
        !comparison.unchanged && onlyXids && openBecause === undefined && (await rowsEqual(step, session, backups)),
      onlyInvalidIndexes: isOnlyInvalidIndexes(comparison) && openBecause === undefined && backups.length > 0,
      openBecause,
      contractStarted: hasNoRestore(run, stage),
      applied: ledger === undefined ? 'some' : left.length === 0 ? 'all' : left.length === planned ? 'none' : 'some',
      prefixIsClean:
        ledger !== undefined &&
        ledger.dirty === undefined &&
        (left.every(({ transactional }) => transactional) ||
          (left.length === planned && (await isLedgerAll(step, comparison, ledger)))),
      verified: steps.some((one) => one.step === 'verify' && one.stage === step.stageNumber && one.state === 'done'),
      backups: backups.filter(({ gate }) => gate === 'closed').map(({ kind }) => kind),
    }
    fence.progress('looked at the database')
    return { found, comparison, version: ledger?.applied.at(-1)?.version ?? plan.from ?? 'no version' }
  })
}

/**
 * Whether the second point of no return may have been passed. What is taken back behind the gate can be put in place again: it
 * is for the image of before the run that there is no way.
 */
export const hasNoRestore = ({ contractStarted }: Step['run'], stage: Step['stage']): boolean =>
  contractStarted && stage?.phase !== 'undo-expand'

/** Ends every session but ours, so that the count of sessions is final and nobody writes while it is looked at. */
async function shutOthersOut({ run, control, fence }: Step, session: Client): Promise<void> {
  await closeDatabase(control, run.database, fence)
  await endOthers(control, run.database, session, END_WITHIN_MS, fence)
}

const isOnlyInvalidIndexes = (comparison: StateComparison): boolean =>
  comparison.newInvalidIndexes.length > 0 &&
  comparison.sequenceDifferences.length === 0 &&
  comparison.schemaDifferences.every((line) => comparison.newInvalidIndexes.some((index) => line.includes(index))) &&
  comparison.rewrittenTables.every((name) => comparison.newInvalidIndexes.includes(name))

/** Whether schema, sequences and every row equal the backup. Nobody else may be in the database. */
export async function rowsEqual(step: Step, session: Client, backups: readonly Manifest[]): Promise<boolean> {
  const backup = backups.find(({ kind }) => kind === 'clone') ?? backups.find(({ kind }) => kind === 'dump')
  if (!backup) return false
  step.fence.progress('compare every row with the backup')
  const engine = step.site.backups[backup.kind]
  const hashed = (await engine.withHashes?.(backup, step.fence.signal).catch(orDamaged)) ?? backup
  if (hashed === 'damaged') return false
  const now = await fingerprint(session, { rows: 'hash', signal: step.fence.signal })
  return fingerprintDifferences(hashed.fingerprint, now).length === 0
}

/** A damaged backup proves nothing; that it is damaged is found once more when it is to be put in place, and noted there. */
function orDamaged(error: unknown): 'damaged' {
  if (failedWith(error, 'BackupDamaged')) return 'damaged'
  throw error
}
