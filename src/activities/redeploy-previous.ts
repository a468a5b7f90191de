import { listSteps } from '../adapters/journal/steps.js'
import { recordGateOpen } from '../adapters/journal/runs.js'
import { failure } from '../domain/failures.js'
import { changing, type Step } from './changing.js'
import { reopen } from './gate.js'
import { proveReady } from './ready.js'
import type { Dependencies } from './site.js'

/** Brings the previous image back. Nothing to do where no service was touched; forbidden once a contract statement may have committed. */
export const redeployPrevious = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'redeploy-previous',
    observe: async (step) => ((await wasRestarted(step)) ? undefined : 'no service was restarted'),
    act: async (step) => {
      const { site, run, plan, fence } = step
      if (run.contractStarted) {
        throw failure(
          'NeedsOperator',
          'the previous image cannot run on the schema in place: the contract stage has been applied',
        )
      }
      // Whoever is started writes: the database lets them in, and the gate counts as open.
      await recordGateOpen(site.journal, run.name)
      await reopen(step)
      const notes: string[] = []
      for (const one of site.services) {
        const { service } = one
        const previous = plan.services.find(({ name }) => name === service.name)?.previous
        if (previous === undefined) throw failure('NeedsOperator', `the previous tag of ${service.name} is not known`)
        fence.progress(`deploy ${service.name} ${previous}`)
        await service.deploy(previous, fence)
        await proveReady(step, one, undefined)
        notes.push(`${service.name} on ${previous}`)
      }
      return notes.join(', ') || 'no services are configured'
    },
  })

/** Whether this stage's restart was meant to happen: the intent counts. */
export async function wasRestarted({
  site,
  run,
  stageNumber,
}: Pick<Step, 'site' | 'run' | 'stageNumber'>): Promise<boolean> {
  return (await listSteps(site.journal, run.name)).some(
    ({ step, stage }) => step === 'restart-services' && stage === stageNumber,
  )
}
