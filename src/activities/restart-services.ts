import type { Plan } from '../domain/plan.js'
import { bringUp } from './bring-up.js'
import { changing, type Step } from './changing.js'
import { requireServices, type SiteService, serviceOf } from './configured.js'
import { letIn } from './let-in.js'
import { proveReady } from './ready.js'
import { after, type Running, requireImagesAsPlanned } from './running.js'
import { recordServices, servicesBefore } from './services-before.js'
import type { Dependencies } from './site.js'

/**
 * Opens the gate and brings services up: on the new image where this stage deploys it, else on the one they have, if they ran
 * before. The gate is recorded open before the first service starts: from here on an automatic restore is forbidden.
 */
export const restartServices = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'restart-services',
    // A gate that was ever closed is opened by every attempt: the one before may have died before it did.
    idle: ({ plan, run }) =>
      plan.services.length === 0 && run.gate === undefined ? 'no services are configured' : undefined,
    observe: async (step) => {
      requireServices(step)
      return undefined
    },
    act: async (step) => {
      const { site, plan } = step
      const deployed = deployedIn(step)
      await requireImagesAsPlanned(step)
      await recordServices(
        step,
        deployed.map(({ name }) => name),
      )
      await letIn(step)
      const { mayHaveRun, wasStopped } = await servicesBefore(step)
      const notes: string[] = []
      for (const { name } of plan.services) {
        const planned = deployed.find((one) => one.name === name)
        const one = serviceOf(site, name)
        if (one && (planned || mayHaveRun(name))) notes.push(await restart(step, one, planned ? after(planned) : {}))
        else if (wasStopped(name)) notes.push(`${name} stays stopped, as it was`)
      }
      return notes.join(', ') || 'no service was stopped'
    },
  })

/** Services that get another image in this stage. */
export const deployedIn = ({ plan, stage }: Pick<Step, 'plan' | 'stage'>): Plan['services'] =>
  stage?.deploysImage ? plan.services.filter(({ next }) => next !== undefined) : []

async function restart(step: Step, one: SiteService, next: Running): Promise<string> {
  const { service } = one
  await bringUp(step, one, next)
  await proveReady(step, one, step.stage?.target)
  const current = await service.current(step.fence.signal)
  return `${service.name} ready${current === undefined ? '' : ` on ${current}`}`
}
