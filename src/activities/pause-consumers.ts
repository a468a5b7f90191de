import { priorStates, recordPriorState } from '../adapters/journal/steps.js'
import type { Consumer, ConsumerState } from '../adapters/consumer/port.js'
import { proveQuiet } from '../adapters/consumer/quiet.js'
import type { Step } from './changing.js'
import { changing } from './changing.js'
import type { Dependencies } from './site.js'

/** Pauses the plan's consumers in order, each proven quiet before the next. What a person had paused before is only noted. */
export const pauseConsumers = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'pause-consumers',
    // Quiet once is not quiet still: the proof is made anew by every attempt.
    idle: ({ plan }) => (plan.consumers.length === 0 ? 'no consumers are configured' : undefined),
    observe: async () => undefined,
    act: async (step) => {
      const notes: string[] = []
      for (const consumer of plannedConsumers(step)) notes.push(await pauseOne(step, consumer))
      return notes.join(', ')
    },
  })

async function pauseOne({ site, run, stageNumber, fence }: Step, consumer: Consumer): Promise<string> {
  const before = await consumer.state(fence.signal)
  await recordPriorState(site.journal, run.name, 'consumer', `${stageNumber}/${consumer.name}`, before)
  if (before.state === 'running') await consumer.pause(fence)
  const sample = (state: ConsumerState): void =>
    fence.progress(`${consumer.name}: ${state.state}, ${state.inFlight} in flight`)
  await proveQuiet(consumer, { withinMs: withinMs(site, consumer), signal: fence.signal, onSample: sample })
  return before.state === 'paused' ? `${consumer.name} was paused already` : `${consumer.name} proven quiet`
}

/** The consumers the plan pauses, in its order. */
export function plannedConsumers({ site, plan }: Pick<Step, 'site' | 'plan'>): Consumer[] {
  return plan.consumers.flatMap((name) => site.consumers.filter((consumer) => consumer.name === name))
}

export const withinMs = (site: Step['site'], consumer: Consumer): number =>
  site.configuration.consumers[consumer.name]?.within ?? 60_000

/** Names of consumers that ran before this stage touched them: between two stages people may pause and resume as they like. */
export async function ranBefore({
  site,
  run,
  stageNumber,
}: Pick<Step, 'site' | 'run' | 'stageNumber'>): Promise<Set<string>> {
  const states = await priorStates(site.journal, run.name, 'consumer')
  const prefix = `${stageNumber}/`
  const running = [...states].filter(([name, state]) => name.startsWith(prefix) && isRunning(state))
  return new Set(running.map(([name]) => name.slice(prefix.length)))
}

function isRunning(state: unknown): boolean {
  return typeof state === 'object' && state !== null && 'state' in state && state.state === 'running'
}
