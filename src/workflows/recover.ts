import { failure } from '../domain/failures.js'
import type { Ending, RecoverChoice } from '../domain/run.js'
import { conduct } from './conduct.js'
import type { Run } from './run.js'

/** The way out of `needs-operator`: does to the open run what a person chose after looking at the evidence, and ends it. */
export const recover = (input: unknown): Promise<Ending> =>
  conduct('recover', input, async (run) => {
    await run.takeOver()
    if (run.choice === 'automatic') await byItself(run)
    else await WAYS[run.choice](run)
  })

/** Lets in where that is proven right, and leaves everything else to a person, with what should be done. */
async function byItself(run: Run): Promise<void> {
  const { do: way, automatic, why, isOver } = await run.lookAround()
  if (!automatic) throw failure('NeedsOperator', `${why}${way === 'ask' ? '' : `; choose --${way}`}`)
  if (isOver) return
  if (way === 'finish') await opening(run)
  else await WAYS.accept(run)
}

async function opening(run: Run): Promise<void> {
  await run.certainly('restart-services')
  await run.certainly('smoke')
  await lettingIn(run)
}

async function lettingIn(run: Run): Promise<void> {
  await run.certainly('resume-consumers')
  if (run.holds) await run.certainly('release-autodeploy')
}

const WAYS: Record<RecoverChoice, (run: Run) => Promise<void>> = {
  finish: async (run) => {
    if (run.restores) await restoring(run)
    if (run.migrates) {
      await run.certainly('migrate')
      await run.certainly('verify')
    }
    await opening(run)
  },
  fix: async (run) => {
    await run.planFix()
    await run.openPoint()
    await run.approval()
    // A cancel may have been answered since it was approved.
    await run.openPoint()
    await WAYS.finish(run)
  },
  restore: async (run) => {
    await restoring(run)
    // A run that was a restore itself has its own image of then.
    if (run.restores) await run.certainly('restart-services')
    await run.certainly('redeploy-previous')
    await run.certainly('release-writers')
    await lettingIn(run)
  },
  redeploy: async (run) => {
    await run.certainly('redeploy-previous')
    await run.certainly('release-writers')
    await lettingIn(run)
  },
  accept: async (run) => {
    await run.certainly('release-writers')
    await lettingIn(run)
  },
}

async function restoring(run: Run): Promise<void> {
  await run.certainly('quiesce-writers')
  await run.certainly('restore-backup')
}
