import { expect, test, vi } from 'vitest'
import { RunLog } from '../../src/cli/run-log.js'
import type { Terminal } from '../../src/cli/terminal.js'
import type { RunEvent } from '../../src/client/follow.js'

const AT = Date.parse('2026-11-20T12:03:04.000Z')
const RUN = 'production-20261120-120304'

/** Everything that is said to somebody who is not at a terminal. */
function log(): { terminal: Terminal; lines: string[] } {
  const lines: string[] = []
  const say = (text = ''): void => void lines.push(text)
  const terminal: Terminal = {
    json: false,
    isTty: false,
    live: false,
    interactive: false,
    columns: 120,
    rows: 40,
    say,
    note: say,
    answer: () => {},
    draw: () => {},
    ask: async () => '',
  }
  return { terminal, lines }
}

const step = (name: 'plan' | 'backup', more: object): RunEvent => ({
  ...{ event: 'step', step: name, stage: 1, state: 'running', text: name, startedAt: AT + 1_000 },
  ...more,
})

test('the log of a run is in the order of its times: the run, then what it did before anybody was told of it', () => {
  const { terminal, lines } = log()
  const viewer = new RunLog(terminal)
  viewer.show(step('plan', { startedAt: AT }))
  viewer.show({
    ...{ event: 'run', run: RUN, project: 'shop', environment: 'production', database: 'shop', digest: 'a' },
    startedAt: AT,
  })
  viewer.show(step('plan', { startedAt: AT, state: 'done', endedAt: AT + 1_000 }))
  viewer.show(step('backup', {}))
  viewer.show({ event: 'progress', text: 'the clone', attempt: 2, lastFailure: 'no route' })
  viewer.close()
  expect(lines.map((line) => line.replace(/^\S+ +(?:1 )?(\S+)[\s\S]*$/, '$1'))).toEqual([
    'run',
    'plan',
    'backup',
    'attempt',
  ])
  const stamps = lines.map((line) => line.slice(0, 8))
  expect(stamps.slice(0, 3)).toEqual(['12:03:04', '12:03:05', '12:03:05'])
})

test('a run that nobody tells of is said to be so, and not to be at what it was at when it was last heard of', () => {
  vi.useFakeTimers({ now: AT })
  try {
    const { terminal, lines } = log()
    const viewer = new RunLog(terminal)
    viewer.show(step('backup', { startedAt: AT }))
    viewer.show({ event: 'progress', text: 'table 3 of 9', attempt: 1 })
    vi.advanceTimersByTime(3_000)
    viewer.show({ event: 'away', who: 'Temporal' })
    vi.advanceTimersByTime(30_000)
    viewer.show({ event: 'back' })
    vi.advanceTimersByTime(30_000)
    viewer.close()
    expect(lines.slice(1).map((line) => line.slice(9).trim())).toEqual([
      'Temporal does not answer; the run goes on as soon as it does',
      'not heard of for 30.0 s; it was at backup then',
      'a worker answers again',
      'backup for 1 min 03 s: table 3 of 9',
    ])
  } finally {
    vi.useRealTimers()
  }
})
