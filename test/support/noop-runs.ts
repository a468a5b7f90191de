import { setTimeout as pause } from 'node:timers/promises'
import { Context } from '@temporalio/activity'
import { Client, Connection, type WorkflowHandle, type WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client'
import { NativeConnection, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import type { Ending, RunState } from '../../src/domain/run.js'
import { FILE_MARK } from './file-mark.js'
import { bundleOf } from './bundle.js'
import { noopActivities, type Script } from './noop-activities.js'
import { temporalAddress } from './ground.js'

let started = 0

/** Runs of the real workflows on a real Temporal server, beside a worker whose activities do nothing. */
export class NoopRuns {
  readonly client: Client
  readonly connection: NativeConnection
  readonly bundle: WorkflowBundleWithSourceMap

  private constructor(client: Client, native: NativeConnection, bundle: WorkflowBundleWithSourceMap) {
    this.client = client
    this.connection = native
    this.bundle = bundle
  }

  static async create(): Promise<NoopRuns> {
    const address = await temporalAddress()
    const client = new Client({ connection: await Connection.connect({ address }) })
    return new NoopRuns(client, await NativeConnection.connect({ address }), await bundleOf())
  }

  async end(): Promise<void> {
    await this.connection.close()
    await this.client.connection.close()
  }

  /** Starts a run, and `work` beside a worker with scripted activities; the worker stops with `work`. */
  async running<T>(
    script: Script & { kind?: string; input?: Record<string, unknown> },
    work: (handle: WorkflowHandleWithFirstExecutionRunId, calls: string[]) => Promise<T>,
  ): Promise<T> {
    const { activities, calls } = noopActivities(script)
    const handle = await this.start(script.kind, script.input)
    return this.beside(handle, activities, this.bundle, () => work(handle, calls))
  }

  /** A run nobody works on yet. */
  async start(
    kind = 'deploy',
    input: Record<string, unknown> = { tag: '2' },
  ): Promise<WorkflowHandleWithFirstExecutionRunId> {
    const taskQueue = `noop-${FILE_MARK}-${started++}`
    return this.client.workflow.start(kind, {
      taskQueue,
      workflowId: `headgate/shop/${taskQueue}`,
      args: [{ project: 'shop', environment: 'staging', requester: { by: 'ana' }, ...input }],
    })
  }

  /** `work` beside a worker of this `bundle` for the run's task queue. */
  async beside<T>(
    handle: WorkflowHandle,
    activities: object,
    workflowBundle: WorkflowBundleWithSourceMap,
    work: () => Promise<T>,
  ): Promise<T> {
    const taskQueue = handle.workflowId.replace('headgate/shop/', '')
    const worker = await Worker.create({ connection: this.connection, workflowBundle, taskQueue, activities })
    return worker.runUntil(work)
  }

  /** The newest execution of the run, whichever it is. */
  latest({ workflowId }: WorkflowHandle): WorkflowHandle {
    return this.client.workflow.getHandle(workflowId)
  }

  /** How a run ended, however its workflow closed. */
  async endingOf(handle: WorkflowHandle): Promise<{ ending: Ending; status: string }> {
    await this.latest(handle)
      .result()
      .catch(() => {})
    const { status } = await this.latest(handle).describe()
    const { ending } = await this.latest(handle).query<RunState>('state')
    if (!ending) throw new Error('the run has no ending')
    return { ending, status: status.name }
  }
}

/** The state of a run, once it is as wanted. Throws when the run ended before. */
export async function until(handle: WorkflowHandle, what: (state: RunState) => boolean): Promise<RunState> {
  for (;;) {
    const state = await handle.query<RunState>('state').catch(() => undefined)
    if (state && what(state)) return state
    if (state?.ending) throw new Error(`the run ended before: ${JSON.stringify(state.ending)}`)
    await pause(50)
  }
}

/** An activity's body that runs until it is cancelled. */
export async function untilCancelled(): Promise<never> {
  const context = Context.current()
  const beat = setInterval(() => context.heartbeat(), 100)
  try {
    return await context.cancelled
  } finally {
    clearInterval(beat)
  }
}
