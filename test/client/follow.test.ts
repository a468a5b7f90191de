import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client'
import { ApplicationFailure } from '@temporalio/common'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../src/client/connection.js'
import { skipBackOff } from '../../src/client/back-off.js'
import { follow, type RunEvent } from '../../src/client/follow.js'
import { failure } from '../../src/domain/failures.js'
import { bundleOf } from '../support/bundle.js'
import { noopActivities } from '../support/noop-activities.js'
import { NoopRuns, until } from '../support/noop-runs.js'

let runs: NoopRuns
let engine: Engine

beforeAll(async () => {
  runs = await NoopRuns.create()
  engine = { client: runs.client, address: '', namespace: 'default', close: async () => {} }
})
afterAll(() => runs?.end())

type Watch = (event: RunEvent) => Promise<void> | void

/** Every event of the run until it ended. */
async function eventsOf(handle: WorkflowHandleWithFirstExecutionRunId, watch: Watch = () => {}): Promise<RunEvent[]> {
  const events: RunEvent[] = []
  const stop = new AbortController()
  for await (const event of follow(engine, handle, handle.firstExecutionRunId, stop.signal)) {
    events.push(event)
    await watch(event)
  }
  return events
}

const approve = (handle: WorkflowHandleWithFirstExecutionRunId, digest: string): Promise<unknown> =>
  runs.latest(handle).executeUpdate('approve', { args: [{ by: 'ben', digest }] })

const doneSteps = (events: RunEvent[]): string[] =>
  events.flatMap((event) => (event.event === 'step' && event.state === 'done' ? [`${event.step} ${event.stage}`] : []))

test('a run is followed through its approval, over its continuing as new, to its end', async () => {
  await runs.running({}, async (handle) => {
    let digest = ''
    const events = await eventsOf(handle, async (event) => {
      if (event.event === 'run') digest = event.digest
      if (event.event === 'waiting') {
        expect(event.command).toBe(`headgate approve ${event.run} --digest ${digest.slice(0, 12)}`)
        await approve(handle, digest)
      }
    })
    expect(events.filter(({ event }) => event === 'run')).toHaveLength(1)
    expect(events.filter(({ event }) => event === 'waiting')).toHaveLength(1)
    expect(events.at(-1)).toMatchObject({ event: 'end', outcome: 'succeeded', exit: 0 })
    const steps = doneSteps(events)
    expect(new Set(steps).size).toBe(steps.length)
    expect(steps).toEqual(expect.arrayContaining(['plan 0', 'migrate 1', 'await-approval 2', 'migrate 2', 'report 0']))
  })
})

test('a run that was refused at its plan ends with why, and has no name', async () => {
  const on = (activity: string): void => {
    if (activity === 'plan') throw failure('PlanInvalid', '0002 was edited after it was applied')
  }
  await runs.running({ on }, async (handle) => {
    const events = await eventsOf(handle)
    expect(events.some(({ event }) => event === 'run')).toBe(false)
    expect(events.at(-1)).toMatchObject({
      event: 'end',
      run: '',
      outcome: 'aborted',
      exit: 4,
      reason: '0002 was edited after it was applied',
    })
  })
})

test('a worker that is away is an event; the run is followed on when another one is there', async () => {
  const handle = await runs.start()
  const bundle = await bundleOf()
  const { activities } = noopActivities({ summary: { stages: [] } })
  let other: Promise<void> | undefined
  const events = await eventsOf(handle, (event) => {
    if (event.event !== 'away') return
    other = runs.beside(handle, activities, bundle, async () => void (await handle.result()))
  })
  await other
  expect(events[0]).toMatchObject({ event: 'away' })
  expect(events.some(({ event }) => event === 'back')).toBe(true)
  expect(events.at(-1)).toMatchObject({ event: 'end', outcome: 'succeeded' })
})

test('a run that was terminated needs an operator, and says so without any worker', async () => {
  const events = await runs.running({}, async (handle) => {
    await until(runs.latest(handle), ({ state }) => state === 'waiting')
    return eventsOf(handle, async ({ event }) => {
      if (event === 'waiting') await runs.latest(handle).terminate('test')
    })
  })
  expect(events.at(-1)).toMatchObject({
    event: 'end',
    outcome: 'needs-operator',
    exit: 6,
    reason: 'the workflow was terminated in Temporal: it undid nothing; a worker looks at what is to be done',
    next: expect.stringMatching(/^headgate status \S+-\d{6}$/),
  })
})

test('a viewer that leaves gets no end, and the run goes on', async () => {
  await runs.running({}, async (handle) => {
    const leave = new AbortController()
    const events: RunEvent[] = []
    for await (const event of follow(engine, handle, handle.firstExecutionRunId, leave.signal)) {
      events.push(event)
      if (event.event === 'waiting') leave.abort()
    }
    expect(events.some(({ event }) => event === 'end')).toBe(false)
    expect((await runs.latest(handle).describe()).status.name).toBe('RUNNING')
    await runs.latest(handle).terminate('test')
  })
})

test('a step in the engine`s back-off says its attempt and why, and is attempted at once when asked', async () => {
  let failures = 0
  const on = (activity: string): void => {
    if (activity !== 'preflight' || failures++ > 0) return
    throw ApplicationFailure.create({ type: 'DatabaseUnreachable', message: 'no route', nextRetryDelay: '1 hour' })
  }
  await runs.running(
    { on, summary: { stages: [{ number: 1, phase: 'image', count: 0, approval: false, deploysImage: true }] } },
    async (handle) => {
      const events = await eventsOf(handle, async (event) => {
        if (event.event === 'progress') expect(await skipBackOff(engine, runs.latest(handle))).toBe(1)
      })
      expect(events).toContainEqual({ event: 'progress', text: '', attempt: 2, lastFailure: 'no route' })
      expect(events.at(-1)).toMatchObject({ event: 'end', outcome: 'succeeded' })
      expect(failures).toBe(2)
    },
  )
})
