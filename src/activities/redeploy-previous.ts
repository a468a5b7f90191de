import { listSteps } from '../adapters/journal/steps.js'
import { failure } from '../domain/failures.js'
import type { Plan } from '../domain/plan.js'
import { bringBack } from './bring-up.js'
import { changing, type Step } from './changing.js'
import { throwTogether } from './each.js'
import { letIn } from './let-in.js'
import { recoveriesOf } from './recoveries.js'
import { before } from './running.js'
import { servicesBefore } from './services-before.js'
import type { Dependencies } from './site.js'
import { swappedAlready } from './swap-in.js'

/**
 * Undoes the restart: brings the previous image back where this stage replaced it, and starts what else ran. A person who
 * recovers the run by it gets the image of before the run, whichever stage replaced it. Nothing to do where no service was
 * touched; forbidden once a contract statement may have committed.
 */
export const redeployPrevious = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'redeploy-previous',
    idle: ({ plan }) => (plan.services.length === 0 ? 'no services are configured' : undefined),
    observe: async (step) => {
      if ((await stagesUndone(step)).length === 0) return 'no service was restarted'
      const isRestored = step.plan.restores !== undefined && (await swappedAlready(step)) !== undefined
      return isRestored ? 'the image of then runs on the backup that was put in place' : undefined
    },
    act: async (step) => {
      const { run, plan } = step
      const undone = await stagesUndone(step)
      const replaces = undone.some(({ deploysImage }) => deploysImage)
      if (run.contractStarted && (replaces || step.stage?.phase !== 'undo-expand')) {
        const what =
          step.stage?.phase === 'undo-expand' ? 'what it needs was taken back' : 'the contract stage has been applied'
        throw failure('NeedsOperator', `the previous image cannot run on the schema in place: ${what}`)
      }
      // Whoever is started writes: the database lets them in, and the gate counts as open.
      await letIn(step)
      const { mayHaveRun, wasStopped } = await servicesBefore(step)
      const replaced = replaces ? plan.services.filter(({ next }) => next !== undefined) : []
      const { notes, failed } = await bringBack(step, [
        ...replaced
          .filter(({ previous }) => previous !== undefined)
          .map((planned) => ({ name: planned.name, what: before(planned), stopped: wasStopped(planned.name) })),
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

/** The stages whose restart is undone, of those where it was meant to happen: the intent counts. */
async function stagesUndone({ site, run, plan, stageNumber }: Step): Promise<Plan['stages']> {
  const choice = (await recoveriesOf(site.journal, run.name)).at(-1)
  const restarted = (await listSteps(site.journal, run.name))
    .filter(({ step }) => step === 'restart-services')
    .map(({ stage }) => stage)
  return plan.stages.filter(
    ({ number }) =>
      restarted.includes(number) && (number === stageNumber || (choice === 'redeploy' && number < stageNumber)),
  )
}
