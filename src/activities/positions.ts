import { priorStates, recordEvent, recordPriorState } from '../adapters/journal/steps.js'
import type { Consumer } from '../adapters/consumer/port.js'
import { messageOf } from '../domain/failures.js'
import type { Manifest } from '../domain/manifest.js'
import { movedBetween } from '../domain/positions.js'
import type { Step } from './changing.js'
import { findBackup } from './find-backup.js'
import { swappedAlready } from './swap-in.js'

const KIND = 'position'
const keyOf = (stageNumber: number, { name }: Consumer): string => `${stageNumber}/${name}`

/** Where a consumer stood when it was proven quiet. The first record stands. */
export async function recordPositions(step: Step, consumer: Consumer): Promise<void> {
  const positions = await consumer.positions?.(step.fence.signal)
  if (positions === undefined) return
  await recordPriorState(step.site.journal, step.run.name, KIND, keyOf(step.stageNumber, consumer), positions)
}

/**
 * What was read while a consumer was paused, in words, and as an event of the journal: nobody should have. Where a backup is what is in
 * place by now, what came of what was read since that was taken is gone, and is to be read again. What cannot be told keeps nobody paused.
 */
export async function tellMoved(step: Step, consumer: Consumer): Promise<string[]> {
  const { site, run, fence } = step
  if (!consumer.positions) return []
  const { before, when, what } = await whereItStood(step, consumer)
  if (before === undefined) return []
  const text = await consumer.positions(fence.signal).then(
    (now) => {
      if (before === 'not noted') return `where ${consumer.name} stood ${when} is not known: ${what}`
      const moved = movedBetween(before, now)
      return moved.length === 0 ? undefined : `${consumer.name} read ${moved.join(', ')} ${when}: ${what}`
    },
    (error) => {
      fence.signal.throwIfAborted()
      return `where ${consumer.name} stands is not known: ${messageOf(error)}`
    },
  )
  if (text === undefined) return []
  await recordEvent(site.journal, run.name, KIND, { text })
  return [text]
}

/** What is compared with where a consumer stands, and what follows from a difference. */
interface Stood {
  before: object | 'not noted' | undefined
  when: string
  what: string
}

async function whereItStood(step: Step, consumer: Consumer): Promise<Stood> {
  const { site, run, plan, stageNumber } = step
  const isBack = (await swappedAlready(step)) !== undefined
  if (isBack && plan.restores !== undefined) {
    const chosen = await findBackup(site, plan.restores)
    const noted = notedIn(chosen, consumer)
    const gone = 'the database that was put back has nothing of it, let them be read again'
    return noted === undefined
      ? { before: 'not noted', when: `when ${chosen.name} was taken`, what: `let what came since be read again` }
      : { before: noted, when: `since ${chosen.name} was taken`, what: gone }
  }
  const noted = (await priorStates(site.journal, run.name, KIND)).get(keyOf(stageNumber, consumer))
  return {
    before: typeof noted === 'object' && noted !== null ? noted : undefined,
    when: 'meanwhile',
    what: isBack ? 'the database that was put back has nothing of it, let them be read again' : 'it was paused',
  }
}

/** Where it stood when a backup was taken; undefined for one that was taken while nobody was paused. */
function notedIn({ stage, priorStates: states }: Manifest, consumer: Consumer): object | undefined {
  const positions = states[KIND]
  if (typeof positions !== 'object' || positions === null) return undefined
  const noted = Object.entries(positions).find(([key]) => key === keyOf(stage, consumer))?.[1]
  return typeof noted === 'object' && noted !== null ? noted : undefined
}
