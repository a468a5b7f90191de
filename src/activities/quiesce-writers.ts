import { changing } from './changing.js'
import { blockRoles } from './block-roles.js'
import { requireServices, serviceOf } from './configured.js'
import { throwTogether, together } from './each.js'
import { closeGate } from './gate.js'
import { recordServices } from './services-before.js'
import type { Dependencies } from './site.js'

/** Stops the services the plan names, or blocks whom applications log in as, shuts the database and proves that nobody but the run writes. */
export const quiesceWriters = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'quiesce-writers',
    idle: ({ plan }) =>
      plan.noRestoreBecause === undefined || plan.restores !== undefined
        ? undefined
        : `the gate stays open: ${plan.noRestoreBecause}`,
    observe: async (step) => {
      requireServices(step)
      return undefined
    },
    act: async (step) => {
      const { site, plan, fence } = step
      await recordServices(step, plan.quiesces)
      const services = plan.quiesces.flatMap((name) => serviceOf(site, name) ?? [])
      if (services.length > 0) fence.progress(`stop ${plan.quiesces.join(', ')}`)
      // Also one that says that it is stopped: what is not there cannot write.
      const stopped = await together(services, fence.signal, ({ service }) => service.stop(fence))
      throwTogether('ServiceFailed', stopped.failed)
      await blockRoles(step)
      const ended = await closeGate(step)
      const { quiesces, blocks = [] } = plan
      const done = [
        ...(quiesces.length > 0 ? [`stopped ${quiesces.join(', ')}`] : []),
        ...(blocks.length > 0 ? [`nobody logs in as ${blocks.join(', ')}`] : []),
      ]
      return `${done.join(', ') || 'no service to stop'}; ${ended} ${ended === 1 ? 'session' : 'sessions'} of others ended; gate proven closed`
    },
  })
