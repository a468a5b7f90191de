import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import {
  approving,
  type Course,
  configurationOf,
  journalOf,
  OPEN_GATE,
  TWO_STAGES,
  worldOf,
} from '../support/courses.js'
import { resetToFirstTask } from '../support/reset.js'
import type { World } from '../support/world.js'

/** How the journal says that the run has ended; it is not waited for a person. */
async function ended(world: World): Promise<string> {
  for (;;) {
    const [run] = await world
      .journal<{ state: string; outcome: string | null }>('select state, outcome from {s}.runs')
      // The worker has not made it yet.
      .catch(() => [])
    if (run?.state === 'ended') return run.outcome ?? ''
    if (run?.outcome) return `open: ${run.outcome}`
    await pause(100)
  }
}

/** How the workflow's newest execution closes. */
const closing = (world: World): Promise<unknown> =>
  world.temporal.workflow
    .getHandle(world.handle.workflowId)
    .result()
    .then(
      (ending: { outcome: string }) => ending.outcome,
      (error) => error.cause?.type,
    )

/** Has a run fail at its plan, of a configuration that cannot be read, and its workflow reset once that is mended. */
async function resetAfterItsPlan(world: World, course: Course, more: Record<string, unknown> = {}): Promise<void> {
  await writeFile(join(world.folder, 'headgate.yaml'), 'name: [')
  await world.start()
  expect(await closing(world)).toBe('aborted')
  await world.configure({ ...configurationOf(course, world), ...more })
  await resetToFirstTask(world.temporal, world.handle.workflowId)
}

test.each(['2 quiesce-writers', '2 backup', '2 verify', '2 smoke', '2 resume-consumers'])(
  'a workflow that is reset to its approval wait in the step %s ends as what is: it had been approved, and had begun',
  async (key) => {
    const world = await worldOf(TWO_STAGES)
    let isOver = false
    try {
      await world.startWorker()
      const journal = await journalOf(world)
      await world.start()
      const approved = approving(world, () => isOver)
      while (!(await journal.steps()).some((step) => step.key === key)) await pause(5)
      await resetToFirstTask(world.temporal, world.handle.workflowId)
      const outcome = await ended(world)
      isOver = true
      await approved
      await world.quiet()
      await journal.end()
      const ledger = await world.rows<{ version: string }>('select version from headgate_migrations')
      const isContracted = ledger.some(({ version }) => version.startsWith('0004'))
      expect([outcome, isContracted]).toEqual(isContracted ? ['succeeded', true] : ['deferred', false])
      expect(world.consumer.state).toBe('running')
      expect(await world.serving()).toBe('2')
      expect(await world.lost()).toEqual([])
    } finally {
      isOver = true
      await world.end()
    }
  },
)

test('a workflow that is reset to the wait before its first stage, and cancelled then, drops no clone and does not say that nothing happened', async () => {
  const world = await worldOf(TWO_STAGES)
  await world.configure({ ...configurationOf(TWO_STAGES, world), approval: { before: ['expand', 'contract'] } })
  try {
    await world.startWorker()
    const journal = await journalOf(world)
    await world.start()
    const { digest } = await world.until(({ state }) => state === 'waiting')
    await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
    while (!(await journal.steps()).some((step) => step.key === '1 restart-services')) await pause(5)
    // Before the reset workflow has found anything out.
    await resetToFirstTask(world.temporal, world.handle.workflowId)
    await world.handle.executeUpdate('cancel', { args: [{ by: 'ben' }] }).catch(() => {})
    const outcome = await ended(world)
    await world.quiet()
    await journal.end()
    expect(outcome).not.toBe('aborted')
    expect(await world.rows('select version from headgate_migrations')).toHaveLength(3)
    expect(await world.lost()).toEqual([])
  } finally {
    await world.end()
  }
})

test.each([
  ['rolled-back', OPEN_GATE],
  ['succeeded', { ...TWO_STAGES, outcome: 'succeeded' as const }],
])(
  'a workflow that is reset once its run is over, %s, does nothing again and ends as the run did',
  async (outcome, course) => {
    const world = await worldOf(course)
    let isOver = false
    try {
      await world.startWorker()
      const journal = await journalOf(world)
      await world.start()
      const approved = approving(world, () => isOver)
      expect(await ended(world)).toBe(outcome)
      isOver = true
      await approved
      await world.quiet()
      const before = await journal.steps()
      await resetToFirstTask(world.temporal, world.handle.workflowId)
      expect(await closing(world)).toBe(outcome)
      expect(await world.journal('select outcome from {s}.runs')).toEqual([{ outcome }])
      expect(await journal.steps()).toEqual(before)
      await journal.end()
    } finally {
      isOver = true
      await world.end()
    }
  },
)

test('a workflow that is reset after its plan had failed carries the run that it opens: nobody takes it over while it waits', async () => {
  const world = await worldOf(TWO_STAGES)
  try {
    await world.startWorker()
    await resetAfterItsPlan(world, TWO_STAGES)
    const { digest } = await world.until(({ state }) => state === 'waiting')
    // The reconciler has looked at least twice.
    await pause(11_000)
    const taken = `select type, body from {s}.events where type in ('gone', 'recovering', 'recover')`
    expect(await world.journal(taken)).toEqual([])
    await world.handle.executeUpdate('approve', { args: [{ by: 'ben', digest }] })
    expect(await ended(world)).toBe('succeeded')
    expect(await world.journal(taken)).toEqual([])
    expect(await closing(world)).toBe('succeeded')
    await world.quiet()
    expect(await world.serving()).toBe('2')
    expect(await world.lost()).toEqual([])
  } finally {
    await world.end()
  }
})

test('a workflow that is reset after its plan had failed, and once more when its run is over, does nothing again', async () => {
  const world = await worldOf(OPEN_GATE)
  try {
    await world.startWorker()
    await resetAfterItsPlan(world, OPEN_GATE)
    expect(await closing(world)).toBe('rolled-back')
    await resetToFirstTask(world.temporal, world.handle.workflowId)
    expect(await closing(world)).toBe('rolled-back')
    expect(await world.journal('select outcome from {s}.runs')).toEqual([{ outcome: 'rolled-back' }])
  } finally {
    await world.end()
  }
})

test('a run that its workflow opened after a reset, and that a person cancels, closes as cancelled', async () => {
  const world = await worldOf(TWO_STAGES)
  try {
    await world.startWorker()
    await resetAfterItsPlan(world, TWO_STAGES, { approval: { before: ['expand', 'contract'] } })
    await world.until(({ state }) => state === 'waiting')
    await world.handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
    expect(await ended(world)).toBe('aborted')
    await closing(world)
    expect((await world.handle.describe()).status.name).toBe('CANCELLED')
  } finally {
    await world.end()
  }
})
