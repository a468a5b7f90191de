import { describeState } from '../adapters/consumer/state.js'
import type { Consumer, ConsumerState } from '../adapters/consumer/port.js'
import { proveQuiet } from '../adapters/consumer/quiet.js'
import { changing, type Step } from './changing.js'
import { consumerOf, requireEverything } from './configured.js'
import { recordPositions } from './positions.js'
import { throwTogether, together } from './each.js'
import type { Dependencies } from './site.js'
import { recordStateBefore, statesBefore } from './states-before.js'

/**
 * Pauses the plan's consumers, each proven quiet: in the order of `pause`, each before the next; without one all at once. What a
 * person had paused before is only noted.
 */
export const pauseConsumers = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'pause-consumers',
    idle: (planned) => {
      // The first step that touches anything: here it is still the cheapest to find that something is gone.
      requireEverything(planned)
      return planned.plan.consumers.length === 0 ? 'no consumers are configured' : undefined
    },
    // Quiet once is not quiet still: the proof is made anew by every attempt.
    observe: async (step) => {
      requireEverything(step)
      return undefined
    },
    act: async (step) => {
      const { site, plan } = step
      const consumers = plan.consumers.flatMap((name) => consumerOf(site, name) ?? [])
      const notes = new Map<string, string>()
      const pause = async (consumer: Consumer): Promise<void> => {
        notes.set(consumer.name, await pauseOne(step, consumer))
      }
      if (site.configuration.pause === undefined) {
        const paused = await together(consumers, step.fence.signal, pause)
        throwTogether('ConsumerNotQuiet', paused.failed)
      } else for (const consumer of consumers) await pause(consumer)
      return consumers.map(({ name }) => notes.get(name)).join(', ')
    },
  })

async function pauseOne(step: Step, consumer: Consumer): Promise<string> {
  const { site, fence } = step
  const known = (await statesBefore(step, 'consumer')).get(consumer.name)
  // An earlier attempt may have left it half paused: it is asked once more, whatever it says of that.
  const now = known === 'running' ? { state: known } : await consumer.state(fence.signal)
  await recordStateBefore(step, 'consumer', consumer.name, now)
  if (now.state === 'running') await consumer.pause(fence)
  const onSample = sampling(step, consumer)
  await proveQuiet(consumer, { withinMs: withinMs(site, consumer), signal: fence.signal, onSample })
  await recordPositions(step, consumer)
  return (known ?? now.state) === 'paused' ? `${consumer.name} was paused already` : `${consumer.name} proven quiet`
}

/** Tells what a consumer says while its proof goes on. */
export const sampling =
  ({ fence }: Step, consumer: Consumer) =>
  (now: ConsumerState): void =>
    fence.progress(`${consumer.name}: ${describeState(now)}`)

export const withinMs = (site: Step['site'], consumer: Consumer): number =>
  site.configuration.consumers[consumer.name]?.within ?? 60_000
