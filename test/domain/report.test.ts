import { expect, test } from 'vitest'
import { buildReport, type ReportFacts } from '../../src/domain/report.js'

const AT = '2026-11-20T12:03:00.000Z'
const RUN = 'production-20261120-120300'

const facts = (more: Partial<ReportFacts> = {}): ReportFacts => ({
  run: {
    name: RUN,
    project: 'shop',
    environment: 'production',
    kind: 'deploy',
    tag: '2',
    database: 'shop',
    planDigest: undefined,
    requester: { by: 'ana', verified: false },
    state: 'open',
    gate: undefined,
    contractStarted: false,
    ending: undefined,
    startedAt: AT,
    endedAt: undefined,
  },
  plan: undefined,
  steps: [],
  decisions: [],
  events: [],
  backups: [],
  ...more,
})

const failed = (failure: { code: string; message: string; evidence?: string }): ReportFacts['steps'][number] => ({
  step: 'migrate',
  stage: 1,
  attempt: 1,
  epoch: 1,
  state: 'failed',
  result: undefined,
  failure,
  startedAt: AT,
  endedAt: AT,
})

test.each<[string, Record<string, unknown>, string]>([
  ['ended', { reason: 'rejected by ben', outcome: 'deferred' }, 'ended as deferred: rejected by ben'],
  ['waiting', { text: `headgate approve ${RUN}` }, `waits for an approval: headgate approve ${RUN}`],
  ['held', { text: 'held by ben at migrate' }, 'held by ben at migrate'],
  [
    'plan changed',
    { differences: [`- contract 0003 ${'a'.repeat(64)}`, `+ contract 0004 ${'b'.repeat(64)}`] },
    'the plan is not the one that was approved any more: - contract 0003 aaaaaaaaaaaa, + contract 0004 bbbbbbbbbbbb',
  ],
  ['recover', { choice: 'finish', by: 'ben', stage: 2 }, 'ben chose to finish it, from stage 2'],
  ['recover', { choice: 'automatic', by: 'the reconciler', stage: 2 }, 'taken over at stage 2 by the reconciler'],
  ['recovery', { do: 'ask', why: 'it is half done', found: {} }, 'what was found calls for a person: it is half done'],
  ['stranded', { why: 'its workflow was terminated', carrier: 'a' }, 'stranded: its workflow was terminated'],
  ['gate proven closed', { snapshot: '1:2:' }, 'the gate was proven closed once more, at snapshot 1:2:'],
  ['not notified', { text: 'webhook of chat: 500' }, 'somebody was not told: webhook of chat: 500'],
  ['of a later version', { a: 1 }, 'of a later version: {"a":1}'],
])('an event of type %s is told as a sentence', (type, body, text) => {
  expect(buildReport(facts({ events: [{ at: AT, type, body }] })).events).toEqual([{ at: AT, type, text }])
})

test('evidence that stands with its step is not told again among the events', () => {
  const step = failed({ code: 'MigrationFailed', message: 'no', evidence: 'line 8' })
  const evidence = (text: string) => ({ at: AT, type: 'evidence', body: { text } })
  const report = buildReport(facts({ steps: [step], events: [evidence('line 8'), evidence('another')] }))
  expect(report.events.map(({ text }) => text)).toEqual(['another'])
})

test.each([
  ['CANCELLED', 'cancelled'],
  ['WORKER_SHUTDOWN', 'its worker was stopped: the next attempt took over'],
  ['TIMED_OUT', 'its time was over: the next attempt took over'],
  ['NOT_FOUND', 'the server did not wait for this attempt any more'],
])('an attempt that was ended by %s says so in words', (message, note) => {
  const report = buildReport(facts({ steps: [failed({ code: 'Unexpected', message })] }))
  expect(report.steps[0]?.note).toBe(note)
})

test('an attempt of which only the intent is recorded says so', () => {
  const step = failed({ code: '', message: '' })
  const report = buildReport(facts({ steps: [{ ...step, state: 'intended', failure: undefined, endedAt: undefined }] }))
  expect(report.steps[0]).toMatchObject({ state: 'intended', note: 'how it ended is not recorded' })
})

test('any other failure keeps its name and its message', () => {
  const report = buildReport(facts({ steps: [failed({ code: 'MigrationFailed', message: 'CANCELLED' })] }))
  expect(report.steps[0]?.note).toBe('MigrationFailed: CANCELLED')
})

test('a run that a release mended keeps its own, and the commands are those that people typed', () => {
  const events = [
    { at: AT, type: 'recover', body: { choice: 'automatic', by: 'the reconciler', stage: 1 } },
    { at: AT, type: 'recover', body: { choice: 'fix', by: 'cleo', stage: 1, tag: '3' } },
    { at: AT, type: 'fix', body: { text: 'cleo goes on with release 3', tag: '3', was: '2' } },
  ]
  const { run } = facts()
  const report = buildReport(facts({ run: { ...run, tag: '3' }, events }))
  expect(report).toMatchObject({ tag: '2', mendedWith: '3' })
  expect(report.events[1]?.text).toBe('cleo chose to fix it with 3, from stage 1')
  expect(report.commands).toEqual(['headgate deploy production --tag 2', `headgate recover ${RUN} --fix --tag 3`])
  // One that came to nothing mended nothing.
  const rejected = buildReport(facts({ events }))
  expect(rejected.tag).toBe('2')
  expect(rejected).not.toHaveProperty('mendedWith')
})
