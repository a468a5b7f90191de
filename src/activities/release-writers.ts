import { bringBack } from './bring-up.js'
import { changing } from './changing.js'
import { discardUnfinished } from './discard-unfinished.js'
import { throwTogether } from './each.js'
import { letIn } from './let-in.js'
import { servicesBefore } from './services-before.js'
import type { Dependencies } from './site.js'

/** Undoes the quiesce: lets sessions in and starts what ran before, on the image it has. Nobody's earlier stop is lifted. Twice is once. */
export const releaseWriters = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'release-writers',
    observe: async () => undefined,
    act: async (step) => {
      const { plan } = step
      await discardUnfinished(step)
      const roles = await letIn(step)
      const { mayHaveRun, wasStopped } = await servicesBefore(step)
      const { notes, failed } = await bringBack(
        step,
        plan.quiesces.filter(mayHaveRun).map((name) => ({ name })),
      )
      throwTogether('ServiceFailed', failed)
      const stopped = plan.quiesces.filter(wasStopped).map((name) => `${name} stays stopped, as it was`)
      const blocked = roles.map((role) => `${role} may log in as before`)
      return [...notes, ...stopped, ...blocked].join(', ') || 'nothing was stopped'
    },
  })
