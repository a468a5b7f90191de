import { recordGateOpen } from '../adapters/journal/runs.js'
import { listSteps } from '../adapters/journal/steps.js'
import { failure } from '../domain/failures.js'
import { bringBack } from './bring-up.js'
import { changing, type Step } from './changing.js'
import { throwTogether } from './each.js'
import { reopen } from './gate.js'
import { deployedIn } from './restart-services.js'
import { servicesBefore } from './services-before.js'
import type { Dependencies } from './site.js'
import { swappedAlready } from './swap-in.js'

/**
 * Undoes the restart: brings the previous image back where this stage replaced it, and starts what else ran. Nothing to do
 * where no service was touched; forbidden once a contract statement may have committed.
 */
export const redeployPrevious = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'redeploy-previous',
    idle: ({ plan }) => (plan.services.length === 0 ? 'no services are configured' : undefined),
    observe: async (step) => {
      if (!(await wasRestarted(step))) return 'no service was restarted'
      const isRestored = step.plan.restores !== undefined && (await swappedAlready(step)) !== undefined
      return isRestored ? 'the image of then runs on the backup that was put in place' : undefined
    },
    act: async (step) => {
      const { site, run, plan } = step
      if (run.contractStarted) {
        throw failure(
          'NeedsOperator',
          'the previous image cannot run on the schema in place: the contract stage has been applied',
        )
      }
      // Whoever is started writes: the database lets them in, and the gate counts as open.
      await recordGateOpen(site.journal, run.name)
      await reopen(step)
      const { mayHaveRun, wasStopped } = await servicesBefore(step)
      const replaced = deployedIn(step)
      const { notes, failed } = await bringBack(step, [
        ...replaced.flatMap(({ name, previous: tag }) =>
          tag === undefined ? [] : { name, tag, stopped: wasStopped(name) },
        ),
        ...plan.quiesces
          .filter((name) => mayHaveRun(name) && !replaced.some((one) => one.name === name))
          .map((name) => ({ name })),
      ])
      const unknown = replaced
        .filter(({ previous }) => previous === undefined)
        .map(({ name }) => failure('NeedsOperator', `the previous tag of ${name} is not known`))
      throwTogether('ServiceFailed', [...failed, ...unknown])
      return notes.join(', ') || 'no service had another image'
    },
  })

/** Whether this stage's restart was meant to happen: the intent counts. */
async function wasRestarted({ site, run, stageNumber }: Pick<Step, 'site' | 'run' | 'stageNumber'>): Promise<boolean> {
  return (await listSteps(site.journal, run.name)).some(
    ({ step, stage }) => step === 'restart-services' && stage === stageNumber,
  )
}
