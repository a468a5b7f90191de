import type { Ending, RecoverChoice } from '../domain/run.js'
import { conduct } from './conduct.js'
import type { Run } from './run.js'

/** The way out of `needs-operator`: does to the open run what a person chose after looking at the evidence, and ends it. */
export const recover = (input: unknown): Promise<Ending> =>
  conduct('recover', input, async (run) => {
    await run.takeOver()
    await WAYS[run.choice](run)
  })

const WAYS: Record<RecoverChoice, (run: Run) => Promise<void>> = {
  finish: async (run) => {
    if (run.restores) await restoring(run)
    if (run.migrates) {
      await run.certainly('migrate')
      await run.certainly('verify')
    }
    await run.certainly('restart-services')
    await run.certainly('smoke')
    await run.certainly('resume-consumers')
  },
  restore: async (run) => {
    await restoring(run)
    // A run that was a restore itself has its own image of then.
    if (run.restores) await run.certainly('restart-services')
    await run.certainly('redeploy-previous')
    await run.certainly('release-writers')
    await run.certainly('resume-consumers')
  },
  redeploy: async (run) => {
    await run.certainly('redeploy-previous')
    await run.certainly('release-writers')
    await run.certainly('resume-consumers')
  },
  accept: async (run) => {
    await run.certainly('release-writers')
    await run.certainly('resume-consumers')
  },
}

async function restoring(run: Run): Promise<void> {
  await run.certainly('quiesce-writers')
  await run.certainly('restore-backup')
}
