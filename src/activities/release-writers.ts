import { recordGateOpen } from '../adapters/journal/runs.js'
import { bringBack } from './bring-up.js'
import { changing } from './changing.js'
import { discardUnfinished } from './discard-unfinished.js'
import { throwTogether } from './each.js'
import { reopen } from './gate.js'
import { servicesBefore } from './services-before.js'
import type { Dependencies } from './site.js'

/** Undoes the quiesce: lets sessions in and starts what ran before, on the image it has. Nobody's earlier stop is lifted. Twice is once. */
export const releaseWriters = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'release-writers',
    observe: async () => undefined,
    act: async (step) => {
      const { site, run, plan } = step
      await discardUnfinished(step)
      await recordGateOpen(site.journal, run.name)
      await reopen(step)
      const { mayHaveRun, wasStopped } = await servicesBefore(step)
      const { notes, failed } = await bringBack(
        step,
        plan.quiesces.filter(mayHaveRun).map((name) => ({ name })),
      )
      throwTogether('ServiceFailed', failed)
      const stopped = plan.quiesces.filter(wasStopped).map((name) => `${name} stays stopped, as it was`)
      return [...notes, ...stopped].join(', ') || 'nothing was stopped'
    },
  })
