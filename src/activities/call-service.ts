import { withJoinedFence } from '../adapters/journal/fence.js'
import { findRun } from '../adapters/journal/runs.js'
import { findServiceChange, takeServiceChange } from '../adapters/journal/service-changes.js'
import { answer, carryOut } from '../adapters/service/elsewhere.js'
import { failure } from '../domain/failures.js'
import { ServiceCall } from '../domain/service-call.js'
import { type SiteService, serviceOf } from './configured.js'
import { beating } from './heartbeat.js'
import { requireProject } from './plan.js'
import { requireShape } from './require-shape.js'
import { type Dependencies, onSite, type Site } from './site.js'

/**
 * What the worker beside a service does for the one beside the database: it answers, or carries out a change that the journal
 * has, for the attempt that asked for it and as long as that one holds the fence. Throws `FenceLost` when it does not any more.
 */
export const callService = (dependencies: Dependencies) => (asked: ServiceCall) =>
  beating(({ signal, progress }) => {
    const { project, environment, service: name, call } = requireShape(ServiceCall, asked)
    requireProject(dependencies, project)
    return onSite(dependencies, environment, async (site) => {
      const { service } = servedHere(site, dependencies.queue, name)
      if ('ask' in call) return answer(service, call, signal)
      const { change, ...asked } = await findServiceChange(site.journal, call.change)
      const run = await findRun(site.journal, asked.run)
      if (asked.service !== name || run.project !== project || run.environment !== environment)
        throw failure(
          'InputInvalid',
          `the change ${call.change} is one of service ${asked.service}, for run ${asked.run}`,
        )
      const request = { ...asked, journal: site.journal, target: site.control, step: change.verb, signal, progress }
      await withJoinedFence(request, async (fence, journal) => {
        await takeServiceChange(journal, call.change)
        await carryOut(service, change, fence)
      })
      return null
    })
  })

/** Throws `InputInvalid` for one that this worker was not started for. */
function servedHere(site: Site, queue: string | undefined, name: string): SiteService {
  const found = serviceOf(site, name)
  if (found && queue !== undefined && site.configuration.services[name]?.queue === queue) return found
  throw failure('InputInvalid', `this worker serves no service ${name}`)
}
