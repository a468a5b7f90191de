import { writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failure } from '../../src/domain/failures.js'
import type { PlanSummary } from '../../src/domain/plan.js'
import type { StrandedRun } from '../../src/domain/recovery.js'
import { knowsSearchAttributes, registerSearchAttributes } from '../../src/worker/search-attributes.js'
import { NoopRuns, until, untilCancelled } from '../support/noop-runs.js'
import { recorded } from '../support/stored-history.js'
import { DIGEST } from '../support/summary.js'

let runs: NoopRuns
beforeAll(async () => {
  runs = await NoopRuns.create()
  // The server hears of new search attributes some seconds later.
  await registerSearchAttributes(runs.connection, 'default')
  while (!(await knowsSearchAttributes(runs.connection, 'default'))) await pause(200)
})
afterAll(() => runs.end())

async function keep(name: string, handle: WorkflowHandle): Promise<void> {
  const file = new URL(`../histories/${name}.json`, import.meta.url)
  const { events } = await recorded(handle)
  // One event a line: a difference reads as what happened otherwise.
  await writeFile(file, `{"events":[\n${events.map((event) => JSON.stringify(event)).join(',\n')}\n]}\n`)
}

const summary = { searchAttributes: true }
const decision = { by: 'ben', digest: DIGEST }
const failing = (activity: string, error: Error) => (called: string) => {
  if (called === activity) throw error
}

test('succeeded, and the wait for approval on the way', async () => {
  await runs.running({ summary }, async (handle) => {
    await until(handle, ({ state }) => state === 'waiting')
    await keep('waiting-for-approval', runs.latest(handle))
    await runs.latest(handle).executeUpdate('approve', { args: [decision] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
    await keep(
      'succeeded-until-approval',
      runs.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId),
    )
    await keep('succeeded', runs.latest(handle))
  })
})

test('aborted', async () => {
  const on = async (activity: string): Promise<void> => {
    if (activity === 'takeBackup') await untilCancelled()
  }
  const putBack = async () => ({ state: 'unchanged', text: 'unchanged: no migration was started' }) as const
  const script = { on, summary: { ...summary, heartbeatMs: 1_000 }, overrides: { putBack } }
  await runs.running(script, async (handle) => {
    await until(handle, ({ step }) => step === 'backup')
    await handle.cancel()
    expect((await runs.endingOf(handle)).ending.outcome).toBe('aborted')
    await keep('aborted', handle)
  })
})

test.each([
  ['restored', 'migrateStage', failure('MigrationFailed', 'relation "orders" does not exist')],
  ['rolled-back', 'smoke', failure('SmokeFailed', 'GET /health answered 500')],
])('%s', async (outcome, activity, error) => {
  const putBack = async () =>
    outcome === 'restored'
      ? ({ state: 'restored', text: 'equal to before the run' } as const)
      : ({ state: 'at-target', text: 'at 0002: the expanded schema is kept' } as const)
  await runs.running({ summary, on: failing(activity, error), overrides: { putBack } }, async (handle) => {
    expect((await runs.endingOf(handle)).ending.outcome).toBe(outcome)
    await keep(outcome, handle)
  })
})

test('deferred', async () => {
  await runs.running({ summary }, async (handle) => {
    await until(handle, ({ state }) => state === 'waiting')
    await runs.latest(handle).signal('rejectSignal', decision)
    expect((await runs.endingOf(handle)).ending.outcome).toBe('deferred')
    await keep('deferred', runs.latest(handle))
  })
})

test('needs-operator', async () => {
  const on = (activity: string): void => {
    if (activity === 'verify') throw failure('VerifyFailed', 'three orphans')
    if (activity === 'putBack') throw failure('BackupDamaged', 'toc.dat does not have its hash')
  }
  await runs.running({ summary, on }, async (handle) => {
    expect((await runs.endingOf(handle)).ending.outcome).toBe('needs-operator')
    await keep('needs-operator', handle)
  })
})

test('held', async () => {
  let handled: WorkflowHandle | undefined
  const on = async (activity: string, stage: number): Promise<void> => {
    if (activity === 'migrateStage' && stage === 1) await handled?.executeUpdate('hold', { args: [{ by: 'ben' }] })
  }
  await runs.running({ summary, on }, async (handle) => {
    handled = handle
    await until(handle, ({ state }) => state === 'held')
    await keep('held', handle)
  })
})

test('recovered-with-a-fix', async () => {
  const stages: PlanSummary['stages'] = [
    { number: 2, phase: 'contract', count: 1, target: '0003', approval: true, deploysImage: true },
  ]
  const input = { tag: '3', recover: { run: 'staging-20261120-103015', choice: 'fix' } }
  await runs.running({ kind: 'recover', input, summary: { ...summary, stages } }, async (handle) => {
    await until(handle, ({ state }) => state === 'waiting')
    await handle.executeUpdate('approve', { args: [decision] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('rolled-back')
    await keep('recovered-with-a-fix', handle)
  })
})

const RESTORE = [{ number: 1, phase: 'restore', count: 0, approval: false, deploysImage: false } as const]
/** As the look at a run that nobody carried finds it, proven to have changed nothing. */
const UNCHANGED: StrandedRun = {
  ...{ do: 'resume', automatic: true, why: 'nothing has committed since the step began' },
  ...{ isSwapped: false, isOver: false, isPaused: true },
  found: {
    ...{ database: 'as-before', gate: 'closed', verified: false, contractStarted: false, image: 'before' },
    ...{ deploysImage: true, restores: false, headed: 'forward', backup: true },
  },
}

const DOWN: PlanSummary['stages'] = [
  { number: 1, phase: 'undo-contract', count: 1, target: '0002', approval: false, deploysImage: true },
  { number: 2, phase: 'undo-expand', count: 1, target: '0001', approval: false, deploysImage: false },
]

test.each([
  [
    'repair',
    { kind: 'repair', input: { mark: { version: '0002', as: 'applied' } }, summary: { ...summary, stages: [] } },
    'succeeded',
  ],
  ['init-db', { kind: 'init-db', input: { tag: '2' }, summary: { ...summary, stages: [] } }, 'succeeded'],
  ['rolled-down', { kind: 'rollback', input: { downTo: '0001' }, summary: { ...summary, stages: DOWN } }, 'succeeded'],
  ['backup', { kind: 'backup', input: {}, summary: { ...summary, stages: [] } }, 'succeeded'],
  ['restore', { kind: 'restore', input: { backup: 'b' }, summary: { ...summary, stages: RESTORE } }, 'succeeded'],
  [
    'recovered-by-choice',
    { kind: 'recover', input: { recover: { run: 'staging-20261120-103015', choice: 'restore' } }, summary },
    'rolled-back',
  ],
  [
    'recovered-by-itself',
    {
      ...{ kind: 'recover', input: { recover: { run: 'staging-20261120-103015', choice: 'automatic' } }, summary },
      overrides: { lookStranded: async () => UNCHANGED },
    },
    'rolled-back',
  ],
])('%s', async (name, script, outcome) => {
  await runs.running(script, async (handle) => {
    expect((await runs.endingOf(handle)).ending.outcome).toBe(outcome)
    await keep(name, handle)
  })
})
