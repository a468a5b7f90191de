import { proveMoving } from '../adapters/consumer/quiet.js'
import { recordGateOpen } from '../adapters/journal/runs.js'
import { changing } from './changing.js'
import { plannedConsumers, ranBefore, withinMs } from './pause-consumers.js'
import type { Dependencies } from './site.js'

/** Brings consumers back to what they were before the run, in reverse order, each proven moving. Nobody's earlier pause is lifted. */
export const resumeConsumers = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'resume-consumers',
    idle: ({ plan }) => (plan.consumers.length === 0 ? 'no consumers are configured' : undefined),
    observe: async () => undefined,
    act: async (step) => {
      const { site, run, fence } = step
      const running = await ranBefore(step)
      // The first point of no return: the intent counts as open.
      await recordGateOpen(site.journal, run.name)
      const notes: string[] = []
      for (const consumer of plannedConsumers(step).reverse()) {
        if (!running.has(consumer.name)) {
          notes.push(`${consumer.name} stays as it was`)
          continue
        }
        await consumer.resume(fence)
        await proveMoving(consumer, { withinMs: withinMs(site, consumer), signal: fence.signal })
        notes.push(`${consumer.name} proven moving`)
      }
      return notes.join(', ')
    },
  })
