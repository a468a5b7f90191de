import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import type { WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
  })

  await runs.beside(handle, activities, runs.bundle, async () => {
    await continued
    await handle.executeUpdate('continue', { args: [{ by: 'ben' }] })
    await until(runs.latest(handle), ({ state }) => state === 'waiting')
    await runs.latest(handle).executeUpdate('approve', { args: [{ by: 'ben', digest: DIGEST }] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
  })
})
