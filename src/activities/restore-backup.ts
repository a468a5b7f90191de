import { backupsOfStage } from '../adapters/journal/backups.js'
import { recordContractStarted } from '../adapters/journal/runs.js'
import { failure } from '../domain/failures.js'
import type { Manifest } from '../domain/manifest.js'
import { changing, type Step } from './changing.js'
import { findValidBackup } from './find-backup.js'
import { reopen } from './gate.js'
import { recoveriesOf } from './recoveries.js'
import { requireApproved } from './require-approved.js'
import { quarantinesOf, swapIn, swappedAlready } from './swap-in.js'
import type { Dependencies } from './site.js'

/**
 * A restore that a person asked for: the plan's backup, or, when an open run is recovered, the one of the stage where it
 * stopped. The gate need not have been closed all the while: what was written since is kept as quarantine and named.
 */
export const restoreBackup = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'restore-backup',
    observe: async (step) => {
      const done = (await swappedAlready(step))?.text ?? (await putInBefore(step))
      if (done === undefined) return undefined
      await recordContractStarted(step.site.journal, step.run.name, false)
      await reopen(step)
      return done
    },
    act: async (step) => {
      // Of an open run the restore is what a person chose: the approval was for its migrations.
      const { site, run, plan, stage, stageNumber } = step
      if (stage?.phase === 'restore') await requireApproved(site.journal, run, plan, stageNumber)
      const manifest = await chosen(step)
      const { text } = await swapIn(step, manifest, 'asked for by a person')
      await recordContractStarted(step.site.journal, step.run.name, false)
      return text
    },
  })

/** Whoever goes on with a run whose backup is in place keeps what has been written since: only `--restore` swaps anew. */
async function putInBefore(step: Step): Promise<string | undefined> {
  const choice = (await recoveriesOf(step.site.journal, step.run.name)).at(-1)
  return choice === 'finish' && (await quarantinesOf(step)).length > 0
    ? 'the backup is in place since before the recovery'
    : undefined
}

async function chosen({ site, run, plan, stageNumber }: Step): Promise<Manifest> {
  if (plan.restores !== undefined) return findValidBackup(site, plan.restores)
  const valid = (await backupsOfStage(site.journal, run.name, stageNumber)).find(({ state }) => state === 'valid')
  if (!valid) throw failure('NeedsOperator', `run ${run.name} has no valid backup of stage ${stageNumber}`)
  return valid.manifest
}
