import { describe, expect, it } from 'vitest'
import { pauseAlarm, pausedSince } from '../../src/worker/pause-alarm.js'

const at = (minute: number): Date => new Date(Date.UTC(2026, 10, 20, 10, minute))
const step = (name: string, minute: number, state: 'done' | 'intended' | 'failed' = 'done') => ({
  ...{ step: name, state, startedAt: at(minute) },
})

describe('since when a run keeps consumers paused', () => {
  it.each([
    ['nobody was paused', [step('quiesce-writers', 1)], undefined],
    ['they are', [step('pause-consumers', 1), step('migrate', 2)], 1],
    ['another attempt paused them first', [step('pause-consumers', 1, 'failed'), step('pause-consumers', 2)], 1],
    ['they go on again', [step('pause-consumers', 1), step('resume-consumers', 5)], undefined],
    ['they could not be resumed', [step('pause-consumers', 1), step('resume-consumers', 5, 'failed')], 1],
    ['of the second stage', [step('pause-consumers', 1), step('resume-consumers', 5), step('pause-consumers', 9)], 9],
  ])('%s', (_, steps, minute) => {
    expect(pausedSince(steps)).toEqual(minute === undefined ? undefined : at(minute))
  })
})

describe('the alarm', () => {
  const LIMIT = 10 * 60_000

  it('comes when the limit is over, and not before', () => {
    expect(pauseAlarm(at(0), LIMIT, at(9))).toBeUndefined()
    expect(pauseAlarm(at(0), LIMIT, at(10))?.text).toBe(
      'consumers are paused since 2026-11-20 10:00 UTC, longer than 10 min 00 s (pauseLimit 10 min 00 s)',
    )
  })

  it('comes again after twice the time and four times, each once', () => {
    const keys = [10, 15, 19, 20, 39, 40, 59].map((minute) => pauseAlarm(at(0), LIMIT, at(minute))?.key)
    expect(new Set(keys).size).toBe(3)
    expect(pauseAlarm(at(0), LIMIT, at(45))?.text).toContain('longer than 40 min 00 s')
  })

  it('never comes without a limit', () => {
    expect(pauseAlarm(at(0), 0, at(59))).toBeUndefined()
  })
})
