import { recordGateOpen } from '../adapters/journal/runs.js'
import { changing } from './changing.js'
import { reopen } from './gate.js'
import { proveReady } from './ready.js'
import type { Dependencies } from './site.js'

/** Undoes the quiesce: lets sessions in and starts what was stopped, on the image it had. Twice is once. */
export const releaseWriters = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'release-writers',
    observe: async () => undefined,
    act: async (step) => {
      const { site, run, plan, fence } = step
      await recordGateOpen(site.journal, run.name)
      await reopen(step)
      const stopped = site.services.filter(({ service }) => plan.quiesces.includes(service.name))
      for (const { service } of stopped) await service.start(fence)
      for (const one of stopped) await proveReady(step, one, undefined)
      return stopped.length > 0
        ? `started ${stopped.map(({ service }) => service.name).join(', ')}`
        : 'nothing was stopped'
    },
  })
