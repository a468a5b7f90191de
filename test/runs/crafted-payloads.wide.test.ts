import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WorkflowFailedError } from '@temporalio/client'
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { differences, type Snapshot } from '../checker/snapshot.js'
import { World } from '../support/world.js'

const FOREIGN = fileURLToPath(new URL('../fixtures/foreign-workflows/index.ts', import.meta.url))
const RELEASE = {
  '0002_note.sql': 'alter table orders add column note text',
  '0003_drop.contract.sql': 'alter table orders drop column item',
}

let world: World
let before: Snapshot

const queue = (): string => `headgate-${world.project}-staging`
const asked = (): Record<string, unknown> => ({
  ...{ project: world.project, environment: 'staging', tag: '2' },
  requester: { by: 'mallory', verified: true },
})

/** The root of what it failed of. */
async function failureOf(result: Promise<unknown>): Promise<string> {
  const error: unknown = await result.then(
    () => new Error('it did not fail'),
    (reason) => reason,
  )
  let root = error instanceof WorkflowFailedError ? error.cause : error
  while (root instanceof Error && root.cause instanceof Error) root = root.cause
  return root instanceof Error ? root.message : String(root)
}

describe('whoever can write to Temporal starts a workflow by hand', () => {
  beforeAll(async () => {
    world = await World.create({ migrations: RELEASE, writesLate: true })
    await mkdir(join(world.folder, 'elsewhere'))
    await world.startWorker()
  })
  beforeEach(async () => {
    before = await world.snapshot()
  })
  afterEach(async () => {
    expect(differences(before, await world.snapshot())).toEqual([])
    expect((await world.leftOvers()).left).toEqual([])
    expect(await world.journal('select name from {s}.runs')).toEqual([])
  })
  afterAll(() => world.end())

  const started = async (type: string, input: unknown): Promise<string> => {
    const workflowId = `headgate/${world.project}/staging`
    const handle = await world.temporal.workflow.start(type, { workflowId, taskQueue: queue(), args: [input] })
    return failureOf(handle.result())
  }

  test.each([
    ['another host', { url: 'postgresql://evil/shop' }],
    ['a command', { command: ['rm', '-rf', '/'] }],
    ['a path', { migrations: '/etc' }],
    ['a configuration', { configuration: { name: 'shop' } }],
    ['a migrator', { migrator: { kind: 'command', up: ['sh'] } }],
    ['a worker-side check', { verified: true }],
  ])('with %s: the input is refused, and nothing was run', async (_, more) => {
    expect(await started('deploy', { ...asked(), ...more })).toContain(`Unrecognized key: "${Object.keys(more)[0]}"`)
  })

  test.each([
    ['a tag that is a path', { tag: '../elsewhere' }],
    ['a tag that is an option', { tag: '--help' }],
    ['an environment that is a path', { environment: '../staging' }],
    ['a run that is SQL', { recover: { choice: 'accept', run: `x'; drop table runs; --` } }],
    ['a choice that nobody has', { recover: { choice: 'drop' } }],
    ['no requester', { requester: undefined }],
    ['a requester of 10 kB', { requester: { by: 'x'.repeat(10_000) } }],
  ])('with %s: the input is refused, and nothing was run', async (_, more) => {
    expect(await started('deploy', { ...asked(), ...more })).toMatch(/✖/)
  })

  test('for another project: this worker refuses it', async () => {
    expect(await started('deploy', { ...asked(), project: 'other' })).toContain(
      `serves project ${world.project}, not other`,
    )
  })

  test('for an environment that the worker does not have: it refuses it', async () => {
    expect(await started('deploy', { ...asked(), environment: 'production' })).toContain('production')
  })

  test.each([
    'not an object',
    42,
    null,
    [],
    { __proto__: { project: 'x' } },
    JSON.parse('{"__proto__":{"project":"x"},"constructor":{"prototype":{"tag":"2"}}}'),
  ])('with %j for an input', async (input) => {
    expect(await started('deploy', input)).toMatch(/✖/)
  })
})

describe('whoever can write to Temporal calls activities from a workflow of his own', () => {
  let foreign: Worker
  let running: Promise<void>
  beforeAll(async () => {
    world = await World.create({ migrations: RELEASE, writesLate: true })
    await world.startWorker()
    Runtime.install({ logger: new DefaultLogger('ERROR') })
    const connection = await NativeConnection.connect({ address: world.address })
    const taskQueue = `foreign-${world.project}`
    foreign = await Worker.create({ connection, taskQueue, workflowsPath: FOREIGN })
    running = foreign.run()
  })
  afterAll(async () => {
    foreign.shutdown()
    await running
    await world.end()
  })

  /** As the workflow that carries the runs of the environment, if need be. */
  const called = async (
    activity: string,
    args: unknown[],
    workflowId = `headgate/${world.project}/staging`,
  ): Promise<string> => {
    const handle = await world.temporal.workflow.start('call', {
      workflowId,
      taskQueue: `foreign-${world.project}`,
      args: [{ activity, taskQueue: queue(), args }],
    })
    return failureOf(handle.result())
  }

  const opened = (): Record<string, unknown> => ({
    ...{ kind: 'deploy', ...asked(), startedAt: '2026-11-20T10:00:00.000Z' },
    ...{ workflowId: `headgate/${world.project}/staging`, workflowRunId: 'x' },
  })

  test.each([
    ['plan', { tag: '../../etc' }],
    ['plan', { kind: 'drop' }],
    ['plan', { project: 'other' }],
    ['plan', { command: ['sh'] }],
    ['plan', { startedAt: 'now' }],
  ])('%s with %j is refused, and no run is opened', async (activity, more) => {
    expect(await called(activity, [{ ...opened(), ...more }])).toMatch(/✖|serves project/)
    expect(await world.journal('select name from {s}.runs')).toEqual([])
  })

  test.each([
    ['lookReport', [{ project: 'other', environment: 'staging', command: 'report', run: 'x' }], 'serves project'],
    ['lookPlan', [{ environment: 'staging', command: 'plan', tag: '../..' }], '✖'],
    ['openRecovery', [{ project: 'x', environment: 'staging', requester: { by: 'm' }, choice: 'drop' }], '✖'],
    ['migrateStage', ['staging-20261120-100000', 1], 'staging-20261120-100000'],
    ['migrateStage', [`x' or true --`, 1], 'x'],
    ['restoreBackup', ['../../etc-20261120-100000', 1], 'etc'],
  ])('%s with %j is refused', async (activity, args, says) => {
    const message = await called(
      activity,
      activity === 'lookPlan' ? [{ project: world.project, ...Object(args[0]) }] : args,
    )
    expect(message).not.toBe('it did not fail')
    expect(message).toContain(says)
  })

  /** A run that waits for the approval of its contract stage, and that no workflow carries any more; its worker is away. */
  async function waitingAndGone(): Promise<{ run: string; digest: string; stage: number; carried: object }> {
    const handle = await world.start()
    // The first run's recovery may still be at its end.
    const { digest, run, stage } = await world.until(({ state }) => state === 'waiting')
    const worker = world.workers.at(-1)
    worker?.kill('SIGKILL')
    await handle.terminate('by mallory')
    const { events } = await handle.fetchHistory()
    const input = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data
    const { carried } = JSON.parse(Buffer.from(input ?? []).toString())
    before = await world.snapshot()
    return { run, digest, stage, carried }
  }
  /** Waits until the worker has let go the run that nobody carries, or has left it to a person: that one takes it as it is, and the next test finds none open. */
  async function overWith(): Promise<void> {
    const open = `select name from {s}.runs where state = 'open'`
    while ((await world.journal(`${open} and outcome is null`)).length > 0);
    if ((await world.journal(open)).length === 0) return
    expect(await world.typed('recover', 'staging', '--accept')).toMatchObject({ exit: 0 })
  }
  const hasItem = (): Promise<unknown[]> => world.rows('select item from orders limit 1')

  test('a contract stage that nobody approved is not applied, by whichever workflow that is asked for', async () => {
    const { run, stage } = await waitingAndGone()
    const answer = called('migrateStage', [run, stage])
    await world.startWorker()
    // The worker lets the run go meanwhile, which nobody carries: who comes first decides which refusal it is.
    expect(await answer).toMatch(/0 of the 1 approvals that stage \d needs|taken over|has ended: deferred/)
    expect(await hasItem()).toHaveLength(1)
    // Nobody carries it now: the worker lets it go.
    await overWith()
    expect(differences(before, await world.snapshot())).toEqual([])
  })

  test('a run that its workflow still carries is not taken over, by whatever name and with whatever choice', async () => {
    await world.startWorker()
    await world.start()
    const { run } = await world.until(({ state }) => state === 'waiting')
    before = await world.snapshot()
    const [{ carrier } = {}] = await world.journal<{ carrier: string }>(
      'select carrier from {s}.runs order by started_at desc',
    )
    const choices = [
      ...['finish', 'restore', 'redeploy', 'accept'].map((choice) => ({ choice, run })),
      { choice: 'automatic', run },
      { choice: 'automatic', run, from: carrier },
    ]
    for (const [n, recover] of choices.entries()) {
      const handle = await world.temporal.workflow.start('recover', {
        workflowId: n % 2 === 0 ? `headgate/${world.project}/staging/recover` : `by-hand-${n}`,
        taskQueue: queue(),
        args: [{ project: world.project, environment: 'staging', requester: { by: 'mallory' }, recover }],
      })
      expect(await failureOf(handle.result())).toContain(`run ${run}: its workflow still carries it`)
    }
    expect(differences(before, await world.snapshot())).toEqual([])
    expect(await world.journal(`select carrier from {s}.runs where name = '${run}'`)).toEqual([{ carrier }])
    expect((await world.until(() => true)).state).toBe('waiting')
    await world.handle.cancel()
    await world.ending()
  })

  test('an approval that somebody wrote into the input of a workflow is none', async () => {
    const { digest, stage, carried } = await waitingAndGone()
    const said = { stage, decision: 'approve', by: 'ben', verified: true, digest }
    await world.start('deploy', { ...asked(), carried: { ...carried, decisions: [said] } })
    await world.startWorker()
    // What was not begun by `plan` carries nothing: the worker may let the run go at any time, and then it closes as that did:
    // aborted where the stage that waited is the run's first.
    const { code, outcome } = await world.ending()
    expect(code ?? outcome).toMatch(/^(E240|E250|aborted|deferred)$/)
    await overWith()
    expect(await hasItem()).toHaveLength(1)
    expect(differences(before, await world.snapshot())).toEqual([])
  })
})
