import { backupsOfStage, recordBackup } from '../adapters/journal/backups.js'
import { recordGateClosed, recordGateOpen, recordOid } from '../adapters/journal/runs.js'
import { sessionCount } from '../adapters/postgres/gate.js'
import { dropDatabase } from '../adapters/postgres/clone.js'
import { databaseOid, swapDatabases } from '../adapters/postgres/swap.js'
import { moment } from '../domain/amounts.js'
import { failedWith, failure } from '../domain/failures.js'
import type { Manifest } from '../domain/manifest.js'
import { quarantineName, restoreName } from '../domain/names.js'
import type { DatabaseState } from '../domain/run.js'
import type { Step } from './changing.js'
import { findBackup } from './find-backup.js'
import { shut, whyOpen } from './gate.js'
import { recoveriesOf } from './recoveries.js'

export interface PutBack {
  state: DatabaseState
  /** What is what, in one line. */
  text: string
}

/** Brings the backup beside, proves it, swaps it in in one transaction, and keeps what was written as quarantine. */
export async function swapIn(
  step: Step,
  manifest: Manifest,
  when: 'only if nobody wrote' | 'asked for by a person',
): Promise<PutBack> {
  const { site, run, control, fence } = step
  const liveOid = await databaseOid(control, run.database)
  if (liveOid === undefined) throw failure('NeedsOperator', `database ${run.database} is not there`)
  const quarantine = quarantineName(run.database, run.startedAt, await seedOf(step))
  const beside = restoreName(run.database, run.startedAt, `${run.name}/${step.stageNumber}`)
  const replacement = await site.backups[manifest.kind].restoreBeside(manifest, beside, fence)
  const replacementOid = await databaseOid(control, replacement)
  if (replacementOid === undefined) throw failure('RestoreFailed', `database ${replacement} is not there`)
  try {
    // The last look before the point where it matters: nobody came in while the backup was brought beside.
    await shut(step)
    const prove = when === 'only if nobody wrote' ? (named?: string) => requireClosed(step, named) : undefined
    await prove?.()
    await recordOid(site.journal, run.name, replacementOid)
    run.databaseOids.push(replacementOid)
    await swapDatabases(
      control,
      { live: run.database, replacement, quarantine, liveOid, replacementOid, properties: manifest.properties },
      fence,
      prove,
    )
  } catch (error) {
    // Whoever decides now has the backup itself: what was made of it for this is of no use any more.
    if (failedWith(error, 'NeedsOperator') && manifest.kind === 'dump') await dropDatabase(control, beside, fence)
    throw error
  }
  // The restored database counts its sessions from here.
  await recordGateClosed(site.journal, run.name, await sessionCount(control, run.database))
  // The clone is the live database now.
  if (manifest.kind === 'clone') await recordBackup(site.journal, manifest, 'dropped')
  return restored(await whatIsIn(step, manifest), quarantine)
}

/** Nobody but the run has written. Throws `NeedsOperator`; in the swap's own transaction nothing else is done about it. */
async function requireClosed(step: Step, named?: string): Promise<void> {
  const open = await whyOpen(step, 'nobody', named)
  if (open === undefined) return
  await recordGateOpen(step.site.journal, step.run.name)
  throw failure('NeedsOperator', `a restore is forbidden: ${open}`)
}

/** What was put in place: the state of before the run, or the one that a person chose. */
interface PutIn {
  backup: string
  /** When that was the state of the database; undefined where it is the one that the stage began with. */
  of: string | undefined
  stage: number
}

const restored = ({ backup, of, stage }: PutIn, quarantine: string): PutBack => ({
  state: 'restored',
  text:
    of === undefined
      ? `equal to before ${stage > 1 ? `stage ${stage}` : 'the run'}: ${backup} was swapped in; what the run wrote is kept in database ${quarantine}`
      : `${backup}, the state of ${of}, was swapped in; what was live until then is kept in database ${quarantine}`,
})

async function whatIsIn(step: Step, manifest: Manifest | undefined): Promise<PutIn> {
  const stage = step.stageNumber
  if (manifest === undefined) return { backup: 'the backup', of: undefined, stage }
  const isAskedFor =
    step.plan.restores !== undefined || (await recoveriesOf(step.site.journal, step.run.name)).length > 0
  return { backup: manifest.name, of: isAskedFor ? moment(manifest.takenAt) : undefined, stage }
}

/** An attempt that died after the swap: the quarantine of this run and stage exists, and the live database is the backup. */
export async function swappedAlready(step: Step): Promise<PutBack | undefined> {
  const { run, control, stageNumber, site, plan } = step
  const quarantine = quarantineName(run.database, run.startedAt, await seedOf(step))
  if ((await databaseOid(control, quarantine)) === undefined) return undefined
  await recordClonesGone(step)
  const manifest =
    plan.restores === undefined
      ? (await backupsOfStage(site.journal, run.name, stageNumber))[0]?.manifest
      : await findBackup(site, plan.restores)
  return restored(await whatIsIn(step, manifest), quarantine)
}

/** The attempt that swapped may have died before it said so: a clone that is the live database now is none any more. */
async function recordClonesGone({ site, run, control, stageNumber }: Step): Promise<void> {
  for (const { manifest, state } of await backupsOfStage(site.journal, run.name, stageNumber)) {
    if (state !== 'valid' || manifest.kind !== 'clone') continue
    if ((await databaseOid(control, manifest.location)) === undefined)
      await recordBackup(site.journal, manifest, 'dropped')
  }
}

/** After how many recoveries a backup was put in place in this stage, the newest first: there is a quarantine for each. */
export async function quarantinesOf(step: Step): Promise<number[]> {
  const { site, run, control } = step
  const found: number[] = []
  for (let recoveries = (await recoveriesOf(site.journal, run.name)).length; recoveries >= 0; recoveries--) {
    const quarantine = quarantineName(run.database, run.startedAt, seed(step, recoveries))
    if ((await databaseOid(control, quarantine)) !== undefined) found.push(recoveries)
  }
  return found
}

/** One quarantine for each way back: a restore that a person asks for later finds what has been written since. */
const seedOf = async (step: Step): Promise<string> =>
  seed(step, (await recoveriesOf(step.site.journal, step.run.name)).length)

const seed = ({ run, stageNumber }: Step, recoveries: number): string =>
  `${run.name}/${stageNumber}${recoveries === 0 ? '' : `/${recoveries}`}`
