import { priorStates, recordEvent, recordPriorState } from '../adapters/journal/steps.js'
import type { Consumer } from '../adapters/consumer/port.js'
import { messageOf } from '../domain/failures.js'
import { movedBetween } from '../domain/positions.js'
import type { Step } from './changing.js'
import { swappedAlready } from './swap-in.js'

const keyOf = ({ stageNumber }: Step, { name }: Consumer): string => `${stageNumber}/${name}`

/** Where a consumer stood when it was proven quiet. The first record stands. */
export async function recordPositions(step: Step, consumer: Consumer): Promise<void> {
  const positions = await consumer.positions?.(step.fence.signal)
  if (positions === undefined) return
  await recordPriorState(step.site.journal, step.run.name, 'position', keyOf(step, consumer), positions)
}

/**
 * What was read while a consumer was paused, in words, and as an event of the journal: nobody should have. Where the stage's backup is what
 * is in place by now, what came of it is gone, and is to be read again. What cannot be told keeps nobody paused.
 */
export async function tellMoved(step: Step, consumer: Consumer): Promise<string[]> {
  const { site, run, fence } = step
  const before = (await priorStates(site.journal, run.name, 'position')).get(keyOf(step, consumer))
  if (typeof before !== 'object' || before === null || !consumer.positions) return []
  const text = await consumer.positions(fence.signal).then(
    async (now) => {
      const moved = movedBetween(before, now)
      if (moved.length === 0) return undefined
      const isBack = (await swappedAlready(step)) !== undefined
      const what = isBack ? 'the database that was put back has nothing of it, let them be read again' : 'it was paused'
      return `${consumer.name} read ${moved.join(', ')} meanwhile: ${what}`
    },
    (error) => {
      fence.signal.throwIfAborted()
      return `where ${consumer.name} stands is not known: ${messageOf(error)}`
    },
  )
  if (text === undefined) return []
  await recordEvent(site.journal, run.name, 'position', { text })
  return [text]
}
