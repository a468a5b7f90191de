import { backupsOfStage, recordBackup } from '../adapters/journal/backups.js'
import { recordContractStarted, recordGateOpen } from '../adapters/journal/runs.js'
import { dropNewInvalidIndexes } from '../adapters/postgres/invalid-indexes.js'
import type { StateCapture, StateComparison } from '../adapters/postgres/unchanged.js'
import { failedWith, failure } from '../domain/failures.js'
import { type Rung, rungFor } from '../domain/ladder.js'
import type { Manifest } from '../domain/manifest.js'
import { captureOf } from './capture.js'
import { fenced, recorded, type Step } from './changing.js'
import { onClosedOrOpen, reopen } from './gate.js'
import { type Around, lookAround, rowsEqual } from './look-around.js'
import type { Dependencies } from './site.js'
import { type PutBack, swapIn, swappedAlready } from './swap-in.js'

/** The way back for the database: looks, takes the cheapest sufficient rung, proves it. Throws `NeedsOperator` where a person must decide. */
export const putBack =
  (dependencies: Dependencies) =>
  (run: string, stage: number): Promise<PutBack> =>
    fenced(dependencies, 'put-back', run, stage, (step) =>
      recorded(step, 'put-back', async () => {
        const back = await climb(step)
        // What was taken back is in place again, and with it what the image of before the run needs.
        if (step.stage?.phase === 'undo-expand' && (back.state === 'unchanged' || back.state === 'restored'))
          await recordContractStarted(step.site.journal, step.run.name, false)
        return back
      }),
    )

async function climb(step: Step): Promise<PutBack> {
  const done = await swappedAlready(step)
  if (done) return done
  const capture = await captureOf(step)
  // Without a capture the stage never came to its first statement.
  if (!capture) return reopened(step, { state: 'unchanged', text: 'unchanged: no migration was started' })
  const backups = (await backupsOfStage(step.site.journal, step.run.name, step.stageNumber))
    .filter(({ state }) => state === 'valid')
    .map(({ manifest }) => manifest)
  const around = await lookAround(step, capture, backups)
  const rung = rungFor(around.found)
  step.fence.progress(`${rung.do}: ${rung.why}`)
  return take(step, rung, capture, around, backups)
}

async function take(
  step: Step,
  rung: Rung,
  capture: StateCapture,
  { found, comparison, version }: Around,
  backups: readonly Manifest[],
): Promise<PutBack> {
  switch (rung.do) {
    case 'nothing':
      return reopened(step, {
        state: rung.state,
        text: `${rung.state === 'unchanged' ? 'unchanged' : `at ${version}`}: ${rung.why}`,
      })
    case 'clean': {
      const dropped = comparison.newInvalidIndexes.join(', ')
      if (await clean(step, capture, backups))
        return reopened(step, { state: 'unchanged', text: `unchanged, after ${dropped} was dropped` })
      // Something else had committed beside the index: the next rung.
      return take(
        step,
        rungFor({ ...found, onlyInvalidIndexes: false }),
        capture,
        { found, comparison, version },
        backups,
      )
    }
    case 'swap':
      return swapAny(
        step,
        backups.filter(({ gate }) => gate === 'closed'),
      )
    case 'ask':
      // Whoever must decide must be able to look; from here on others may write.
      await recordGateOpen(step.site.journal, step.run.name)
      await reopen(step)
      throw failure('NeedsOperator', rung.why, undefined, { evidence: evidenceOf(comparison) })
  }
}

/** The clone first, the quicker way; where it is damaged, the dump of the same moment. */
async function swapAny(step: Step, backups: readonly Manifest[]): Promise<PutBack> {
  const [first, ...others] = [...backups].sort((a, b) => a.kind.localeCompare(b.kind))
  if (!first) throw failure('NeedsOperator', 'there is no valid backup left')
  try {
    return await swapIn(step, first, 'only if nobody wrote')
  } catch (error) {
    // Others have written: whoever must decide must be able to look.
    if (failedWith(error, 'NeedsOperator')) await reopen(step)
    if (!failedWith(error, 'BackupDamaged')) throw error
    await recordBackup(step.site.journal, first, 'damaged')
    if (others.length === 0) throw error
    step.fence.progress(`the ${first.kind} is damaged, the ${others[0]?.kind} is next`)
    return swapAny(step, others)
  }
}

/** Drops the indexes that the run left invalid. Whether schema, sequences and every row equal the backup then. */
async function clean(step: Step, capture: StateCapture, backups: readonly Manifest[]): Promise<boolean> {
  return onClosedOrOpen(step, async (session) => {
    await dropNewInvalidIndexes(session, capture.invalidIndexes, step.fence)
    return rowsEqual(step, session, backups)
  })
}

async function reopened(step: Step, result: PutBack): Promise<PutBack> {
  await reopen(step)
  return result
}

const evidenceOf = (comparison: StateComparison): string =>
  [
    ...comparison.schemaDifferences,
    ...comparison.rewrittenTables.map((table) => `${table}: its file changed`),
    ...comparison.sequenceDifferences,
    ...comparison.newInvalidIndexes.map((index) => `index ${index} is invalid`),
    ...(comparison.unexplainedXids.length > 0
      ? [`transactions that are not the journal's: ${comparison.unexplainedXids.slice(0, 20).join(', ')}`]
      : []),
  ].join('\n')
