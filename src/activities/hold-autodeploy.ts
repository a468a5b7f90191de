import type { Autodeploy } from '../adapters/autodeploy/port.js'
import { proveHeld } from '../adapters/autodeploy/prove.js'
import { changing, type Step } from './changing.js'
import { autodeployOf, requireEverything } from './configured.js'
import type { Dependencies } from './site.js'
import { recordStateBefore, statesBefore } from './states-before.js'

/** Holds what deploys by itself, each proven held before the next. What a person had switched off before is only noted. */
export const holdAutodeploy = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'hold-autodeploy',
    // Held once is not held still: the proof is made anew by every attempt.
    observe: async (step) => {
      requireEverything(step)
      return undefined
    },
    act: async (step) => {
      const notes: string[] = []
      for (const one of (step.plan.autodeploys ?? []).flatMap((name) => autodeployOf(step.site, name) ?? []))
        notes.push(await holdOne(step, one))
      return notes.join(', ')
    },
  })

async function holdOne(step: Step, autodeploy: Autodeploy): Promise<string> {
  const { fence } = step
  const { name } = autodeploy
  const known = (await statesBefore(step, 'autodeploy')).get(name)
  const now = known === 'on' ? { state: known } : await autodeploy.state(fence.signal)
  await recordStateBefore(step, 'autodeploy', name, { state: now.state })
  if (now.state === 'on') await autodeploy.hold(fence)
  const { running } = await proveHeld(autodeploy, {
    signal: fence.signal,
    onSample: ({ state, running }) => fence.progress(`${name}: ${state}, ${running} under way`),
  })
  const under = running === 0 ? '' : `, ${running} under way`
  return `${name} ${(known ?? now.state) === 'held' ? 'was held already' : 'held'}${under}`
}
