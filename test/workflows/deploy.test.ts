import type { WorkflowHandle } from '@temporalio/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { failure } from '../../src/domain/failures.js'
import type { RunState } from '../../src/domain/run.js'
import type { Script } from '../support/noop-activities.js'
import { NoopRuns, until, untilCancelled } from '../support/noop-runs.js'
import { DIGEST, summaryOf } from '../support/summary.js'

let runs: NoopRuns
beforeAll(async () => {
  runs = await NoopRuns.create()
})
afterAll(() => runs.end())

/** What an activity waits for until the test lets it through. */
function gate(): { passed: Promise<void>; open: () => void } {
  let open = (): void => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open: () => open() }
}

const approve = { by: 'ben', digest: DIGEST }

test('a run goes through both stages, continues as new at the approval, and succeeds', async () => {
  await runs.running({}, async (handle, calls) => {
    await until(handle, ({ state }) => state === 'waiting')
    const waiting = await runs.latest(handle).describe()
    expect(waiting.runId).not.toBe(handle.firstExecutionRunId)
    expect(await runs.latest(handle).executeUpdate<string, [unknown]>('approve', { args: [approve] })).toContain(
      'approved by ben',
    )
    const { ending, status } = await runs.endingOf(handle)
    expect(status).toBe('COMPLETED')
    expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
    const stage = [
      'pauseConsumers',
      'quiesceWriters',
      'takeBackup',
      'migrateStage',
      'verify',
      'restartServices',
      'smoke',
      'resumeConsumers',
    ]
    expect(calls).toEqual([
      'plan',
      'preflight',
      ...stage,
      'notify',
      'checkApproval',
      'confirmPlan',
      ...stage,
      'conclude succeeded',
    ])
  })
})

test('an approval of another digest, and one that is not an approver`s, are refused and the wait goes on', async () => {
  await runs.running({}, async (handle) => {
    await until(handle, ({ state }) => state === 'waiting')
    const latest = runs.latest(handle)
    await expect(
      latest.executeUpdate('approve', { args: [{ by: 'ben', digest: 'b'.repeat(64) }] }),
    ).rejects.toMatchObject({ cause: { message: expect.stringContaining("the plan's digest is aaaaaaaaaaaa") } })
    await expect(latest.executeUpdate('approve', { args: [{ by: 'mallory', digest: DIGEST }] })).rejects.toMatchObject({
      cause: { message: 'not an approver' },
    })
    expect((await latest.query<RunState>('state')).state).toBe('waiting')
    await latest.signal('rejectSignal', { by: 'ben', digest: DIGEST })
    expect((await runs.endingOf(handle)).ending).toMatchObject({
      outcome: 'deferred',
      exit: 7,
      reason: 'rejected by ben',
    })
  })
})

test('nobody approves: the run ends deferred, and its workflow is completed', async () => {
  await runs.running({ summary: { approvalTimeoutMs: 500 } }, async (handle) => {
    const { ending, status } = await runs.endingOf(handle)
    expect(status).toBe('COMPLETED')
    expect(ending).toMatchObject({ outcome: 'deferred', exit: 7, reason: 'nobody approved in time' })
  })
})

test('a failed migration is put back, newest undo first', async () => {
  const fails = (activity: string): void => {
    if (activity === 'migrateStage') throw failure('MigrationFailed', 'relation "orders" does not exist')
  }
  await runs.running({ on: fails }, async (handle, calls) => {
    const { ending, status } = await runs.endingOf(handle)
    expect(status).toBe('FAILED')
    expect(ending).toMatchObject({ outcome: 'restored', exit: 5, reason: 'relation "orders" does not exist' })
    expect(ending).toMatchObject({ code: 'E210', hint: 'fix the migration, then deploy again' })
    expect(calls.slice(calls.indexOf('migrateStage'))).toEqual([
      'migrateStage',
      'putBack',
      'releaseWriters',
      'resumeConsumers',
      'conclude restored',
    ])
  })
})

test('a way back that fails leaves consumers paused, and a person is told what was not attempted', async () => {
  const fails = (activity: string): void => {
    if (activity === 'migrateStage') throw failure('MigrationFailed', 'no such table')
    if (activity === 'putBack') throw failure('BackupDamaged', 'toc.dat does not have its hash')
  }
  await runs.running({ on: fails }, async (handle, calls) => {
    const { ending } = await runs.endingOf(handle)
    expect(ending).toMatchObject({ outcome: 'needs-operator', exit: 6, consumers: 'still paused' })
    expect(ending.reason).toBe(
      'after "no such table", could not put the database back (toc.dat does not have its hash); not attempted: undo the quiesce, resume consumers',
    )
    expect(calls).not.toContain('resumeConsumers')
  })
})

test('a cancel during the migration, sent twice, stops it once and puts the database back', async () => {
  const on = async (activity: string): Promise<void> => {
    if (activity === 'migrateStage') await untilCancelled()
  }
  await runs.running({ on, summary: { heartbeatMs: 1_000 } }, async (handle, calls) => {
    await until(handle, ({ step, lines }) => step === 'migrate' && lines.at(-1)?.state === 'running')
    const first = handle.executeUpdate<string, [unknown]>('cancel', { args: [{ by: 'ben' }] })
    await handle.cancel()
    // Whichever comes first, the other changes nothing.
    expect(await first).toMatch(/told to stop|cancelled already/)
    const { ending } = await runs.endingOf(handle)
    expect(ending).toMatchObject({ outcome: 'restored', exit: 7, cause: 'person' })
    expect(calls.filter((call) => call === 'putBack')).toHaveLength(1)
    expect(calls.at(-1)).toBe('conclude restored')
  })
})

describe('a cancel during the migrate of a contract stage', () => {
  const stages = [
    { number: 1, phase: 'contract', count: 2, target: '0003', approval: false, deploysImage: false } as const,
  ]
  /** The first call ends as told once it hears of the cancel; the second one, which no cancel reaches, answers. */
  const scripted = (first: () => Promise<string>, settled: () => string): Script => ({
    summary: { stages, heartbeatMs: 1_000 },
    overrides: {
      migrateStage: async (_run, _stage, after) => (after === undefined ? first() : settled()),
      putBack: async () => ({ state: 'unchanged', text: 'unchanged' }),
    },
  })
  const migrates = ({ step, lines }: RunState): boolean => step === 'migrate' && lines.at(-1)?.state === 'running'
  const noteOf = async (handle: WorkflowHandle): Promise<string | undefined> =>
    (await handle.query<RunState>('state')).lines.find(({ step }) => step === 'migrate')?.note
  const nothing = (): never => {
    throw failure('Cancelled', 'stopped before anything of the stage had committed')
  }

  test.each([
    ['which stopped', untilCancelled],
    ['whose worker was lost', () => untilCancelled().catch(() => Promise.reject(failure('FenceLost', 'taken over')))],
  ])('%s with nothing committed undoes the stage', async (_, first) => {
    await runs.running(scripted(first, nothing), async (handle, calls) => {
      await until(handle, migrates)
      expect(await handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })).toContain('noted')
      const { ending, status } = await runs.endingOf(handle)
      expect(ending).toMatchObject({ outcome: 'aborted', exit: 7, reason: 'cancelled by ben' })
      expect(status).toBe('CANCELLED')
      expect(calls.slice(-3)).toEqual(['releaseWriters', 'resumeConsumers', 'conclude aborted'])
    })
  })

  test.each([
    ['which stopped too late', untilCancelled],
    ['which went on', () => untilCancelled().catch(() => '2 applied')],
  ])('%s completes the stage, and the note tells of it', async (_, first) => {
    for (const native of [false, true]) {
      await runs.running(
        scripted(first, () => '2 applied'),
        async (handle) => {
          await until(handle, migrates)
          await (native ? handle.cancel() : handle.executeUpdate('cancel', { args: [{ by: 'ben' }] }))
          const { ending, status } = await runs.endingOf(handle)
          expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
          expect(status).toBe('COMPLETED')
          const who = native ? 'a cancellation request' : 'the cancel by ben'
          expect(await noteOf(handle)).toBe(`2 applied; ${who} came too late, the stage had begun to commit`)
        },
      )
    }
  })

  test('that fails by itself meanwhile is not tried again', async () => {
    const fails = (): Promise<never> => untilCancelled().catch(() => Promise.reject(failure('MigrationFailed', 'no')))
    await runs.running(
      scripted(fails, () => 'never'),
      async (handle) => {
        await until(handle, migrates)
        await handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
        expect((await runs.endingOf(handle)).ending).toMatchObject({ outcome: 'aborted', exit: 5, reason: 'no' })
      },
    )
  })
})

test('"Request Cancellation" in the approval wait defers the contract and closes as cancelled only where nothing was deployed', async () => {
  await runs.running({}, async (handle) => {
    await until(handle, ({ state }) => state === 'waiting')
    await runs.latest(handle).cancel()
    const { ending, status } = await runs.endingOf(handle)
    expect(ending).toMatchObject({ outcome: 'deferred', exit: 7 })
    expect(status).toBe('COMPLETED')
  })
  const on = async (activity: string): Promise<void> => {
    if (activity === 'pauseConsumers') await untilCancelled()
  }
  await runs.running({ on, summary: { heartbeatMs: 1_000 } }, async (handle) => {
    await until(handle, ({ step }) => step === 'pause-consumers')
    await handle.cancel()
    const { ending, status } = await runs.endingOf(handle)
    expect(ending).toMatchObject({ outcome: 'aborted', exit: 7 })
    expect(status).toBe('CANCELLED')
  })
})

test('a cancel while consumers are being resumed is refused as too late', async () => {
  const resumed = gate()
  const on = async (activity: string): Promise<void> => {
    if (activity === 'resumeConsumers') await resumed.passed
  }
  await runs.running(
    {
      on,
      summary: {
        stages: [{ number: 1, phase: 'expand', count: 1, target: '0002', approval: false, deploysImage: true }],
      },
    },
    async (handle) => {
      await until(handle, ({ step }) => step === 'resume-consumers')
      await expect(handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })).rejects.toMatchObject({
        cause: { message: expect.stringContaining('too late') },
      })
      resumed.open()
      expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
    },
  )
})

test('a held run stops where the gate is open, and goes on when it is told to', async () => {
  const resumed = gate()
  const on = async (activity: string, stage: number): Promise<void> => {
    if (activity === 'takeBackup' && stage === 1) await resumed.passed
  }
  await runs.running({ on }, async (handle, calls) => {
    await until(handle, ({ step }) => step === 'backup')
    await handle.executeUpdate('hold', { args: [{ by: 'ben' }] })
    resumed.open()
    const held = await until(handle, ({ state }) => state === 'held')
    expect(held.waiting).toContain('headgate continue')
    expect(calls.at(-1)).toBe('resumeConsumers')
    await handle.executeUpdate('continue', { args: [{ by: 'ben' }] })
    await until(handle, ({ state }) => state === 'waiting')
    await runs.latest(handle).executeUpdate('approve', { args: [approve] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
  })
})

test('a run that is held at the next step, with the gate closed, tells people who holds it and where', async () => {
  const closed = gate()
  const on = async (activity: string): Promise<void> => {
    if (activity === 'takeBackup') await closed.passed
  }
  const told: string[] = []
  const overrides = {
    notify: async (_run: string, kind: string, text: string) => void told.push(`${kind}: ${text}`),
  }
  const stages = [
    { number: 1, phase: 'expand', count: 1, target: '0002', approval: false, deploysImage: true } as const,
  ]
  await runs.running({ on, overrides, summary: { stages } }, async (handle, calls) => {
    await until(handle, ({ step }) => step === 'backup')
    await handle.executeUpdate('hold', { args: [{ by: 'ben', now: true }] })
    closed.open()
    const held = await until(handle, ({ state }) => state === 'held')
    expect(calls.at(-1)).toBe('takeBackup')
    expect(told).toEqual([
      `held: held by ben, in stage 1, before it goes on to migrate 1 expand migration to 0002: headgate continue ${held.run}`,
    ])
    await handle.executeUpdate('continue', { args: [{ by: 'ben' }] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
    expect(told).toHaveLength(1)
  })
})

test('a cancel of a contract stage that is held once it has migrated is refused, and the run goes on to its end', async () => {
  const migrated = gate()
  const on = async (activity: string): Promise<void> => {
    if (activity === 'migrateStage') await migrated.passed
  }
  const stages = [
    { number: 1, phase: 'contract', count: 1, target: '0002', approval: false, deploysImage: true } as const,
  ]
  await runs.running({ on, summary: { stages } }, async (handle) => {
    await until(handle, ({ step }) => step === 'migrate')
    await handle.executeUpdate('hold', { args: [{ by: 'ben', now: true }] })
    migrated.open()
    await until(handle, ({ state }) => state === 'held')
    await expect(handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })).rejects.toMatchObject({
      cause: { message: expect.stringContaining('too late') },
    })
    await handle.executeUpdate('continue', { args: [{ by: 'ben' }] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
  })
})

test('under `onFailure: hold` a failed step waits for a retry', async () => {
  let failing = true
  const on = (activity: string): void => {
    if (activity === 'verify' && failing) throw failure('VerifyFailed', 'three orphans')
  }
  await runs.running(
    {
      on,
      summary: {
        holdOnFailure: true,
        stages: [{ number: 1, phase: 'expand', count: 1, target: '0002', approval: false, deploysImage: true }],
      },
    },
    async (handle, calls) => {
      const held = await until(handle, ({ state }) => state === 'held')
      expect(held.waiting).toContain('headgate retry')
      failing = false
      expect(await handle.executeUpdate('retry', { args: [{ by: 'ben' }] })).toBe('the failed step runs again')
      expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
      expect(calls.filter((call) => call === 'verify')).toHaveLength(2)
    },
  )
})

test('a held run can be cancelled where the gate is open: nothing more is done', async () => {
  let held: Promise<unknown> | undefined
  let handled: WorkflowHandle | undefined
  const on = (activity: string): void => {
    if (activity === 'takeBackup') held = handled?.executeUpdate('hold', { args: [{ by: 'ben' }] })
  }
  await runs.running({ on }, async (handle, calls) => {
    handled = handle
    await until(handle, ({ state }) => state === 'held')
    await held
    await handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
    expect((await runs.endingOf(handle)).ending).toMatchObject({ outcome: 'deferred', exit: 7, cause: 'person' })
    expect(calls.slice(-2)).toEqual(['resumeConsumers', 'conclude deferred'])
  })
})

test('a cancel during the plan ends the run that the plan opened', async () => {
  const opened = gate()
  await runs.running({ on: (activity) => (activity === 'plan' ? opened.passed : undefined) }, async (handle, calls) => {
    await handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
    opened.open()
    const { ending, status } = await runs.endingOf(handle)
    expect(ending).toMatchObject({ outcome: 'aborted', exit: 7, cause: 'person' })
    expect(status).toBe('CANCELLED')
    expect(calls).toEqual(['plan', 'conclude aborted'])
  })
})

test('a cancel while the database is put back is refused as too late', async () => {
  const back = gate()
  const on = async (activity: string): Promise<void> => {
    if (activity === 'verify') throw failure('VerifyFailed', 'three orphans')
    if (activity === 'putBack') await back.passed
  }
  await runs.running({ on }, async (handle) => {
    await until(handle, ({ step }) => step === 'put-back')
    await expect(handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })).rejects.toMatchObject({
      cause: { message: expect.stringContaining('too late') },
    })
    back.open()
    expect((await runs.endingOf(handle)).ending).toMatchObject({ outcome: 'restored', exit: 5, cause: 'fault' })
  })
})

test('under `onFailure: hold` a contract stage that failed where a cancel came too late can still be given up', async () => {
  const on = (activity: string): void => {
    if (activity === 'verify') throw failure('VerifyFailed', 'three orphans')
    if (activity === 'putBack') throw failure('NeedsOperator', 'a contract statement may have committed')
  }
  const stages = [
    { number: 1, phase: 'contract', count: 1, target: '0002', approval: false, deploysImage: true } as const,
  ]
  await runs.running({ on, summary: { holdOnFailure: true, stages } }, async (handle) => {
    await until(handle, ({ state }) => state === 'held')
    await handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
    expect((await runs.endingOf(handle)).ending).toMatchObject({ outcome: 'needs-operator', exit: 6 })
  })
})

test('a plan that changed during the wait is shown, asked for again by its own digest, and carried out', async () => {
  const changed = 'c'.repeat(64)
  const contract = {
    number: 2,
    phase: 'contract',
    count: 2,
    target: '0004',
    approval: true,
    deploysImage: false,
  } as const
  let compared = 0
  const overrides: Script['overrides'] = {
    confirmPlan: async () =>
      compared++ === 0 ? { same: false, summary: summaryOf([contract], { digest: changed }) } : { same: true },
  }
  await runs.running({ overrides }, async (handle, calls) => {
    await until(handle, ({ state }) => state === 'waiting')
    const run = runs.latest(handle)
    await run.executeUpdate('approve', { args: [approve] })
    await until(run, ({ state, digest }) => state === 'waiting' && digest === changed)
    await run.executeUpdate('approve', { args: [{ by: 'ben', digest: changed }] })
    expect((await runs.endingOf(handle)).ending.outcome).toBe('succeeded')
    expect(calls.filter((call) => call === 'migrateStage')).toHaveLength(2)
  })
})

test('a plan that got a stage before the one that waits is not carried out: the release is deferred', async () => {
  const overrides: Script['overrides'] = {
    confirmPlan: async () => {
      throw failure('PlanStale', 'the release has other stages now than the approved plan')
    },
  }
  await runs.running({ overrides }, async (handle, calls) => {
    await until(handle, ({ state }) => state === 'waiting')
    await runs.latest(handle).executeUpdate('approve', { args: [approve] })
    expect((await runs.endingOf(handle)).ending).toMatchObject({ outcome: 'deferred', cause: 'guard', exit: 4 })
    expect(calls.filter((call) => call === 'migrateStage')).toHaveLength(1)
  })
})

test('where the second stage needs an operator its consumers are still paused, whatever the first resumed', async () => {
  let verified = 0
  const on = (activity: string): void => {
    if (activity === 'verify' && ++verified === 2) throw failure('VerifyFailed', 'three orphans')
    if (activity === 'putBack') throw failure('NeedsOperator', 'a contract statement may have committed')
  }
  await runs.running({ on }, async (handle) => {
    await until(handle, ({ state }) => state === 'waiting')
    await runs.latest(handle).executeUpdate('approve', { args: [approve] })
    expect((await runs.endingOf(handle)).ending).toMatchObject({ outcome: 'needs-operator', consumers: 'still paused' })
  })
})

test('a restore that fails half-way leaves consumers paused and writers stopped', async () => {
  const on = (activity: string): void => {
    if (activity === 'restoreBackup') throw failure('RestoreForbidden', 'a replication slot is in use')
  }
  const stages = [{ number: 1, phase: 'restore', count: 0, approval: false, deploysImage: false } as const]
  const run = { kind: 'restore', input: { backup: 'b' }, on, summary: { stages } }
  await runs.running(run, async (handle, calls) => {
    expect((await runs.endingOf(handle)).ending).toMatchObject({ outcome: 'needs-operator', consumers: 'still paused' })
    expect(calls.slice(2)).toEqual(['pauseConsumers', 'quiesceWriters', 'restoreBackup', 'conclude needs-operator'])
  })
})
