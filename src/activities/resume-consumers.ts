import { proveMoving } from '../adapters/consumer/quiet.js'
import { recordGateOpen } from '../adapters/journal/runs.js'
import { failure } from '../domain/failures.js'
import { changing } from './changing.js'
import { consumerOf } from './configured.js'
import { each, throwTogether, together } from './each.js'
import { sampling, withinMs } from './pause-consumers.js'
import { tellMoved } from './positions.js'
import type { Dependencies } from './site.js'
import { groupsWithMembers, statesBefore } from './states-before.js'

/**
 * Brings consumers back to what they were before the run, in reverse order: all are asked to go on, then each is proven
 * moving, so that one that does not go on keeps no other paused. Nobody's earlier pause is lifted.
 */
export const resumeConsumers = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'resume-consumers',
    idle: ({ plan }) => (plan.consumers.length === 0 ? 'no consumers are configured' : undefined),
    observe: async () => undefined,
    act: async (step) => {
      const { site, run, plan, fence } = step
      const before = await statesBefore(step, 'consumer')
      const hadMembers = await groupsWithMembers(step)
      const paused = plan.consumers.filter((name) => before.get(name) === 'running').reverse()
      const consumers = paused.flatMap((name) => consumerOf(site, name) ?? [])
      // The first point of no return: the intent counts as open.
      await recordGateOpen(site.journal, run.name)
      const told: string[] = []
      for (const consumer of consumers) told.push(...(await tellMoved(step, consumer)))
      const asked = await each(consumers, fence.signal, (consumer) => consumer.resume(fence))
      const moving = await together(asked.done, fence.signal, (consumer) =>
        proveMoving(consumer, {
          withinMs: withinMs(site, consumer),
          signal: fence.signal,
          onSample: sampling(step, consumer),
          hadMembers: hadMembers.has(consumer.name),
        }),
      )
      const gone = paused.filter((name) => !consumerOf(site, name)).map(notResumed)
      throwTogether('ConsumerNotMoving', [...asked.failed, ...moving.failed, ...gone])
      const notes = plan.consumers
        .toReversed()
        .map((name) => (paused.includes(name) ? `${name} proven moving` : `${name} stays as it was`))
      return [...notes, ...told].join(', ')
    },
  })

const notResumed = (name: string): Error =>
  failure(
    'NeedsOperator',
    `consumer ${name} is still paused: it is no longer one that headgate.yaml pauses, put it back there`,
  )
