import type { StepRecord } from '../adapters/journal/steps.js'
import { duration, moment } from '../domain/amounts.js'

/** Since when a run keeps its consumers paused, by its steps; undefined where it does not. */
export function pausedSince(steps: readonly Pick<StepRecord, 'step' | 'state' | 'startedAt'>[]): Date | undefined {
  const resumed = steps.findLastIndex(({ step, state }) => step === 'resume-consumers' && state === 'done')
  return steps.slice(resumed + 1).find(({ step }) => step === 'pause-consumers')?.startedAt
}

export interface PauseAlarm {
  /** Names this alarm: it is raised once. It is raised again after twice the time, four times, and so on. */
  key: string
  text: string
}

/** What people are told of a pause that lasts longer than it may; undefined where it does not. A limit of 0 is none. */
export function pauseAlarm(since: Date, limitMs: number, now: Date): PauseAlarm | undefined {
  if (limitMs === 0) return undefined
  const times = (now.getTime() - since.getTime()) / limitMs
  if (times < 1) return undefined
  const doublings = Math.floor(Math.log2(times))
  const lasting = duration(limitMs * 2 ** doublings)
  return {
    key: `${since.toISOString()} ${doublings}`,
    text: `consumers are paused since ${moment(since.toISOString())}, longer than ${lasting} (pauseLimit ${duration(limitMs)})`,
  }
}
