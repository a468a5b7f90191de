import { tmpdir } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client'
import type { WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Journal } from '../../src/adapters/journal/journal.js'
import { prepareJournal } from '../../src/adapters/journal/prepare.js'
import { openRun } from '../../src/adapters/journal/runs.js'
import { reconcile } from '../../src/worker/reconciler.js'
import { planOfShop } from '../cli/plan-of-shop.js'
import { headgate } from '../support/command-line.js'
import { createDatabase } from '../support/test-database.js'
import { temporalAddress } from '../support/ground.js'
import { bundleOf } from '../support/bundle.js'
import { noopActivities } from '../support/noop-activities.js'
import { NoopRuns, until } from '../support/noop-runs.js'
import { DIGEST } from '../support/summary.js'

let runs: NoopRuns
let changed: WorkflowBundleWithSourceMap
beforeAll(async () => {
  runs = await NoopRuns.create()
  changed = await bundleOf('../fixtures/changed-workflows/index.ts')
})
afterAll(() => runs.end())

const said = (...words: string[]): ReturnType<typeof headgate> =>
  temporalAddress().then((TEMPORAL_ADDRESS) => headgate(words, tmpdir(), { TEMPORAL_ADDRESS }))

/** What a worker says of the run when it compares its journal with Temporal. */
async function toldOf(
  { workflowId, firstExecutionRunId }: WorkflowHandleWithFirstExecutionRunId,
  environment: string,
): Promise<string> {
  const { target } = await createDatabase()
  await prepareJournal(target, 'journal')
  const journal = new Journal(target, 'journal')
  const ended = new AbortController()
  try {
    await openRun(journal, {
      ...{ name: `${environment}-20261120-103015`, kind: 'deploy', lane: 'main', digest: DIGEST },
      ...{ workflowId, workflowRunId: firstExecutionRunId, carrier: workflowId, engine: 'of the tests' },
      ...{ requester: { by: 'ana', verified: false }, startedAt: '2026-11-20T10:30:15.000Z' },
      plan: planOfShop({ environment }),
    })
    return await new Promise<string>((resolve, reject) => {
      const resolved = async () => ({ journal, pauseLimit: 0 })
      const environments = [{ environment, queue: environment, resolved, failed: () => {} }]
      const { client } = runs
      const tell = async (_: unknown, text: string): Promise<void> => resolve(text)
      reconcile(
        { client, engine: 'of the tests', project: 'shop', everyMs: 200, environments, onLine: () => {}, tell },
        ended.signal,
      ).catch(reject)
    })
  } finally {
    ended.abort()
    await journal.close()
  }
}

/** Why workflow tasks of the newest execution failed, oldest first. */
async function failedTasks(handle: WorkflowHandle): Promise<string[]> {
  const { events } = await runs.latest(handle).fetchHistory()
  return (events ?? []).flatMap(({ workflowTaskFailedEventAttributes: failed }) =>
    failed ? [failed.failure?.message ?? ''] : [],
  )
}

test('a run that waits for approval goes on with changed code: nothing of what came before is replayed', async () => {
  const { activities, calls } = noopActivities()
  const handle = await runs.start()
  await runs.beside(handle, activities, runs.bundle, () => until(handle, ({ state }) => state === 'waiting'))
  expect(calls.filter((call) => call === 'verify')).toHaveLength(1)
  calls.length = 0

  await runs.beside(handle, activities, changed, async () => {
    await runs.latest(handle).executeUpdate('approve', { args: [{ by: 'ben', digest: DIGEST }] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
  })
  expect(calls.filter((call) => call !== 'notify')).toEqual([
    'checkApproval',
    'confirmPlan',
    'pauseConsumers',
    'verify',
    'takeBackup',
    'migrateStage',
    'verify',
    'restartServices',
    'resumeConsumers',
    'conclude succeeded',
  ])
  expect(await failedTasks(handle)).toEqual([])
})

test('a run that waits for approval lives through ten releases of the worker, and is steered in each', async () => {
  const { activities, calls } = noopActivities()
  const handle = await runs.start()
  await runs.beside(handle, activities, runs.bundle, () => until(handle, ({ state }) => state === 'waiting'))
  for (let release = 0; release < 10; release++)
    await runs.beside(handle, activities, release % 2 === 0 ? changed : runs.bundle, async () => {
      await runs.latest(handle).executeUpdate('hold', { args: [{ by: `ben of ${release}` }] })
      await until(runs.latest(handle), ({ hold }) => hold?.includes(`ben of ${release}`) === true)
      await runs.latest(handle).executeUpdate('continue', { args: [{ by: 'ben' }] })
    })
  expect(calls.filter((call) => call === 'verify')).toHaveLength(1)

  await runs.beside(handle, activities, changed, async () => {
    await runs.latest(handle).executeUpdate('approve', { args: [{ by: 'ben', digest: DIGEST }] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
  })
  expect(await failedTasks(handle)).toEqual([])
})

test('a run in the middle of a stage does not go on with incompatible code, and does once its own is back', async () => {
  const handle = await runs.start()
  const on = async (activity: string, stage: number): Promise<void> => {
    if (activity === 'migrateStage' && stage === 1)
      await handle.executeUpdate('hold', { args: [{ by: 'ben', now: true }] })
  }
  const { activities, calls } = noopActivities({ on })
  await runs.beside(handle, activities, runs.bundle, () => until(handle, ({ state }) => state === 'held'))
  const before = [...calls]

  let continued: Promise<unknown> | undefined
  await runs.beside(handle, activities, changed, async () => {
    continued = handle.executeUpdate('continue', { args: [{ by: 'ben' }] }).catch(() => undefined)
    while ((await failedTasks(handle)).length === 0) await pause(100)
    expect((await failedTasks(handle)).at(-1)).toContain('[TMPRL1100]')
    expect(calls).toEqual(before)
    // Whoever asks is told that it cannot go on, and why; and the worker tells it by itself.
    const environment = handle.workflowId.split('/').at(-1) ?? ''
    let status = await said('status', environment, '--project', 'shop')
    while (!status.text.includes('stuck')) status = await said('status', environment, '--project', 'shop')
    expect(status.text).toContain('TMPRL1100')
    expect(await toldOf(handle, environment)).toMatch(/its workflow cannot go on: .*TMPRL1100/)
  })

  await runs.beside(handle, activities, runs.bundle, async () => {
    await continued
    // The server gives the task out again after a while, and takes no message before.
    await until(handle, ({ state }) => state === 'held')
    await handle.executeUpdate('continue', { args: [{ by: 'ben' }] })
    await until(runs.latest(handle), ({ state }) => state === 'waiting')
    await runs.latest(handle).executeUpdate('approve', { args: [{ by: 'ben', digest: DIGEST }] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
  })
})
