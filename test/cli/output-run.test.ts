import { expect, test } from 'vitest'
import { heartbeatLine, jsonEvent, logLine, summary } from '../../src/cli/output-run.js'
import type { RunEvent } from '../../src/client/follow.js'

const AT = Date.parse('2026-11-20T12:03:04.567Z')
const RUN = 'production-20261120-120300'

const step = (more: Partial<Extract<RunEvent, { event: 'step' }>> = {}): Extract<RunEvent, { event: 'step' }> => ({
  event: 'step',
  step: 'backup',
  stage: 1,
  state: 'running',
  text: 'take a backup and verify it',
  startedAt: AT - 1_200,
  ...more,
})

const LINES: [string, RunEvent, string | undefined][] = [
  [
    'the run, which began before it was told',
    {
      event: 'run',
      run: RUN,
      project: 'shop',
      environment: 'production',
      tag: '2',
      database: 'shop',
      digest: '3f9a0c1d2e4b5a69',
      startedAt: AT - 2_000,
    },
    '12:03:02 run production-20261120-120300: shop 2, database shop, plan 3f9a0c1d2e4b; times are UTC',
  ],
  ['a step that begins', step(), '12:03:03 1 backup            running             take a backup and verify it'],
  [
    'a step that is done',
    step({ state: 'done', endedAt: AT, note: 'clone pre_migration_20261120_120303-s1e2, 8.1 MB' }),
    '12:03:04 1 backup            done         1.2 s  clone pre_migration_20261120_120303-s1e2, 8.1 MB',
  ],
  [
    'a step before any stage',
    step({ step: 'plan', stage: 0, state: 'done', endedAt: AT, text: 'plan production to 2' }),
    '12:03:04   plan              done         1.2 s  plan production to 2',
  ],
  [
    'a note with lines and control characters of its own',
    step({ state: 'failed', endedAt: AT, note: 'a\n\u001b]0;pwned\u0007b\u202e' }),
    '12:03:04 1 backup            failed       1.2 s  a b',
  ],
  [
    'another attempt',
    { event: 'progress', text: '', attempt: 2, lastFailure: 'no route' },
    '12:03:04   attempt 2, after: no route',
  ],
  [
    'an approval wait',
    {
      event: 'waiting',
      run: RUN,
      stage: 2,
      command: `headgate approve ${RUN} --digest 3f9a0c1d2e4b`,
      deadline: Date.parse('2026-11-23T12:03:00Z'),
    },
    `12:03:04   waits for approval until 2026-11-23 12:03 UTC: headgate approve ${RUN} --digest 3f9a0c1d2e4b`,
  ],
  [
    'a hold',
    { event: 'held', run: RUN, command: `headgate continue ${RUN}` },
    `12:03:04   held; to go on: headgate continue ${RUN}`,
  ],
  [
    'a worker that is away',
    { event: 'away', who: 'worker' },
    '12:03:04   no worker answers; the run goes on as soon as one does',
  ],
  [
    'a Temporal that is away',
    { event: 'away', who: 'Temporal' },
    '12:03:04   Temporal does not answer; the run goes on as soon as it does',
  ],
  ['a worker that is back', { event: 'back' }, '12:03:04   a worker answers again'],
]

test.each(LINES)('%s is one line of the log', (_, event, text) => {
  expect(logLine(event, AT)).toBe(text)
})

test('while nothing changes the log says which step runs, for how long, and what it says of itself', () => {
  expect(heartbeatLine(step({ step: 'migrate', startedAt: AT - 61_000 }), '0002: 40 %', AT)).toBe(
    '12:03:04   migrate for 1 min 01 s: 0002: 40 %',
  )
  expect(heartbeatLine(undefined, '', AT)).toBe('12:03:04   still there')
})

const ENDING = {
  run: RUN,
  outcome: 'restored',
  cause: 'fault',
  exit: 5,
  reason: '0004: duplicate key\n(23505)',
  database: 'equal to before the run',
  services: 'on the previous image',
  consumers: 'as before the run',
  next: `headgate report ${RUN}`,
} as const

test('a run`s end is a block: what happened, what is what, what to type', () => {
  expect(summary(ENDING)).toEqual([
    '',
    'restored: 0004: duplicate key (23505)',
    '  database   equal to before the run',
    '  services   on the previous image',
    '  consumers  as before the run',
    '  next       headgate report production-20261120-120300',
  ])
})

test('a run that failed says with which code, and what a person does about it', () => {
  expect(summary({ ...ENDING, code: 'E210', hint: 'fix the migration, then deploy again' })).toEqual([
    '',
    'restored: 0004: duplicate key (23505)',
    '  code       E210: headgate explain E210 says what it means',
    '  database   equal to before the run',
    '  services   on the previous image',
    '  consumers  as before the run',
    '  do         fix the migration, then deploy again',
    '  next       headgate report production-20261120-120300',
  ])
})

test('JSON events have ISO times, and the last one is the ending itself', () => {
  expect(jsonEvent(step({ state: 'done', endedAt: AT }))).toEqual({
    event: 'step',
    step: 'backup',
    stage: 1,
    state: 'done',
    text: 'take a backup and verify it',
    startedAt: '2026-11-20T12:03:03.367Z',
    endedAt: '2026-11-20T12:03:04.567Z',
  })
  expect(jsonEvent({ event: 'end', ...ENDING })).toEqual({ event: 'end', ...ENDING })
})
