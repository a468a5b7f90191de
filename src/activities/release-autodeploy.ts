import type { Autodeploy } from '../adapters/autodeploy/port.js'
import { failure, messageOf } from '../domain/failures.js'
import type { Fence } from '../domain/fence.js'
import { changing } from './changing.js'
import { autodeployOf } from './configured.js'
import { each, throwTogether } from './each.js'
import type { Dependencies } from './site.js'
import { statesBefore } from './states-before.js'

/** Lets what deployed by itself before the stage do so again. Nobody's earlier hold is lifted. Twice is once. */
export const releaseAutodeploy = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'release-autodeploy',
    observe: async () => undefined,
    act: async (step) => {
      const { site, plan, fence } = step
      const before = await statesBefore(step, 'autodeploy')
      const held = (plan.autodeploys ?? []).filter((name) => before.get(name) === 'on')
      const here = held.flatMap((name) => autodeployOf(site, name) ?? [])
      const released = await each(here, fence.signal, (autodeploy) =>
        letGo(autodeploy, fence).catch((error) => {
          fence.signal.throwIfAborted()
          // Also where it only could not be asked: nobody else tries again.
          throw failure('AutodeployNotReleased', messageOf(error), error)
        }),
      )
      const gone = held.filter((name) => !autodeployOf(site, name)).map(notThere)
      throwTogether('AutodeployNotReleased', [...released.failed, ...gone])
      return (plan.autodeploys ?? [])
        .map((name) => (held.includes(name) ? `${name} goes on` : `${name} stays as it was`))
        .join(', ')
    },
  })

async function letGo(autodeploy: Autodeploy, fence: Fence): Promise<void> {
  await autodeploy.release(fence)
  const { state } = await autodeploy.state(fence.signal)
  if (state !== 'on') throw failure('AutodeployNotReleased', `${autodeploy.name} was released, and says ${state}`)
}

const notThere = (name: string): Error =>
  failure('NeedsOperator', `${name} is still held: headgate.yaml has it no longer, put it back there`)
