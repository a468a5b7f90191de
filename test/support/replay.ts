import { DefaultFailureConverter, defaultPayloadConverter } from '@temporalio/common'
import protocol from '@temporalio/proto'
import { type InjectedSinks, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker'
import { expect, test } from 'vitest'
import { endingOf } from '../../src/domain/ending.js'
import { type Cause, type FailureCode, failure } from '../../src/domain/failures.js'
import type { Outcome } from '../../src/domain/outcome.js'
import { Ending } from '../../src/domain/run.js'
import { bundleOf } from './bundle.js'
import type { ScheduledSinks } from './scheduled.js'
import type { History } from './stored-history.js'
import { RUN } from './summary.js'

export type End = 'completed' | 'failed' | 'cancelled' | 'continuedAsNew' | 'still open'
/** What else the history has, besides activities. */
export type Happening = (past: Past) => void
/** One activity and what it answered, or something that happened. */
export type Row = readonly [activity: string, answer?: unknown] | Happening
export interface Start {
  kind?: string
  input: Record<string, unknown>
}

/** The activity failed for good. */
export const fails = (code: FailureCode, message = code): Error => failure(code, message)

/** The run's end is told: this outcome and cause are compared with what the workflow says. */
export function concludes(
  outcome: Outcome,
  because: Cause | 'nothing' = outcome === 'succeeded' ? 'nothing' : 'fault',
): Row {
  const cause = because === 'nothing' ? undefined : because
  return ['conclude', endingOf({ run: RUN, outcome, cause, reason: 'as told' })]
}

/** A "Request Cancellation" reached the run while the activity ran: it stopped, or (`ended`) it had its reasons to finish. */
export const requested = (ended: 'stopped' | { answer: unknown }) => new Cancel('request', ended)
/** As `requested`, by the `cancel` update. */
export const cancelUpdated = (ended: 'stopped' | { answer: unknown }) => new Cancel('update', ended)

/** Something else happened while the activity ran. */
export const meanwhile = (happened: Happening, answer?: unknown) => new Meanwhile(happened, answer)

class Meanwhile {
  readonly happened: Happening
  readonly answer: unknown
  constructor(happened: Happening, answer: unknown) {
    this.happened = happened
    this.answer = answer
  }
}

class Cancel {
  readonly by: 'request' | 'update'
  readonly ended: 'stopped' | { answer: unknown }
  constructor(by: Cancel['by'], ended: Cancel['ended']) {
    this.by = by
    this.ended = ended
  }
}

const payloads = (...values: unknown[]) => ({
  payloads: values.map((value) => ({
    metadata: { encoding: Buffer.from('json/plain') },
    data: Buffer.from(JSON.stringify(value)),
  })),
})

/** `ACTIVITY_TASK_SCHEDULED` → `activityTaskScheduledEventAttributes`. */
const attributesOf = (type: string): string =>
  `${type.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())}EventAttributes`

const RUN_ID = '11111111-1111-1111-1111-111111111111'
const QUEUE = { taskQueue: { name: 'q' } }
const WORKER = { identity: 'worker' }

/** A history written by hand, event by event, as a server would have written it. */
export class Past {
  readonly #events: object[] = []
  #activities = 0
  #timer: number | undefined
  #cancelUpdated = false
  /** The workflow task whose commands come next. */
  #task = 0

  constructor({ kind = 'deploy', input }: Start) {
    this.add('WORKFLOW_EXECUTION_STARTED', {
      ...QUEUE,
      ...WORKER,
      workflowType: { name: kind },
      input: payloads(input),
      originalExecutionRunId: RUN_ID,
      firstExecutionRunId: RUN_ID,
      attempt: 1,
      workflowTaskTimeout: { seconds: 10 },
    })
    this.task()
    // A continued run brings its memo with it.
    if (input.carried !== undefined) this.command('WORKFLOW_PROPERTIES_MODIFIED', { upsertedMemo: {} })
  }

  /** Appends one event and returns its id. */
  add(type: string, attributes: object): number {
    const eventId = this.#events.length + 1
    const eventTime = { seconds: 1_767_225_600 + eventId }
    this.#events.push({ eventId, eventTime, eventType: `EVENT_TYPE_${type}`, [attributesOf(type)]: attributes })
    return eventId
  }

  /** What the workflow decided in its newest task. */
  command(type: string, attributes: object): number {
    return this.add(type, { ...attributes, workflowTaskCompletedEventId: this.#task })
  }

  /** The workflow hears of what happened until here. */
  task(): void {
    const scheduledEventId = this.add('WORKFLOW_TASK_SCHEDULED', {
      ...QUEUE,
      startToCloseTimeout: { seconds: 10 },
      attempt: 1,
    })
    const startedEventId = this.add('WORKFLOW_TASK_STARTED', { ...WORKER, scheduledEventId, requestId: 'r' })
    this.#task = this.add('WORKFLOW_TASK_COMPLETED', {
      ...WORKER,
      scheduledEventId,
      startedEventId,
      // Without its flags core compares nothing, and a wrong order replays.
      sdkMetadata: { coreUsedFlags: [1, 2], langUsedFlags: [1] },
    })
  }

  activity(name: string, answered?: unknown): void {
    const scheduledEventId = this.command('ACTIVITY_TASK_SCHEDULED', {
      ...QUEUE,
      activityId: String(++this.#activities),
      activityType: { name },
      startToCloseTimeout: { seconds: 60 },
    })
    const ids = { scheduledEventId, startedEventId: this.#started(scheduledEventId) }
    const answer = answered instanceof Meanwhile ? answered.answer : answered
    if (answered instanceof Meanwhile) answered.happened(this)
    if (answer instanceof Cancel) this.#cancelled(ids, answer)
    else if (answer instanceof Error) this.#failed(ids, answer)
    else this.#completed(ids, answer)
    // A run that an update cancelled has the server ask it to close, so that it may close as cancelled.
    if (name === 'conclude' && this.#cancelUpdated) this.add('WORKFLOW_EXECUTION_CANCEL_REQUESTED', WORKER)
    this.task()
    if (name === 'plan' && !(answer instanceof Error))
      this.command('WORKFLOW_PROPERTIES_MODIFIED', { upsertedMemo: {} })
  }

  #started(scheduledEventId: number): number {
    return this.add('ACTIVITY_TASK_STARTED', { ...WORKER, scheduledEventId, requestId: 'r', attempt: 1 })
  }

  #completed(ids: object, answer: unknown): void {
    this.add('ACTIVITY_TASK_COMPLETED', { ...WORKER, ...ids, result: payloads(answer ?? '') })
  }

  #failed(ids: object, error: Error): void {
    this.add('ACTIVITY_TASK_FAILED', {
      ...WORKER,
      ...ids,
      retryState: 'RETRY_STATE_NON_RETRYABLE_FAILURE',
      failure: new DefaultFailureConverter().errorToFailure(error, defaultPayloadConverter),
    })
  }

  #cancelled(ids: { scheduledEventId: number }, { by, ended }: Cancel): void {
    if (by === 'request') this.add('WORKFLOW_EXECUTION_CANCEL_REQUESTED', WORKER)
    this.task()
    const answer = by === 'update' ? this.accept('cancel', { by: 'ben' }) : undefined
    const { scheduledEventId } = ids
    const latestCancelRequestedEventId = this.command('ACTIVITY_TASK_CANCEL_REQUESTED', { scheduledEventId })
    answer?.('the running step is told to stop')
    if (ended === 'stopped') this.add('ACTIVITY_TASK_CANCELED', { ...WORKER, ...ids, latestCancelRequestedEventId })
    else if (ended.answer instanceof Error) this.#failed(ids, ended.answer)
    else this.#completed(ids, ended.answer)
  }

  /** An update that passed its validator in the newest task; the returned function writes its answer. */
  accept(name: string, message: unknown): (answer: string | Error) => void {
    this.#cancelUpdated ||= name === 'cancel'
    const updateId = `update-${this.#events.length}`
    const meta = { ...WORKER, updateId }
    const acceptedEventId = this.add('WORKFLOW_EXECUTION_UPDATE_ACCEPTED', {
      protocolInstanceId: updateId,
      acceptedRequestMessageId: `${updateId}/request`,
      acceptedRequestSequencingEventId: this.#task - 2,
      acceptedRequest: { meta, input: { name, args: payloads(message) } },
    })
    return (answer) => {
      const outcome =
        answer instanceof Error
          ? { failure: new DefaultFailureConverter().errorToFailure(answer, defaultPayloadConverter) }
          : { success: payloads(answer) }
      this.add('WORKFLOW_EXECUTION_UPDATE_COMPLETED', { meta, acceptedEventId, outcome })
    }
  }

  startTimer(): void {
    this.#timer = this.command('TIMER_STARTED', { timerId: '1', startToFireTimeout: { seconds: 60 } })
  }

  endTimer(how: 'FIRED' | 'CANCELED'): void {
    const ids = { timerId: '1', startedEventId: this.#timer }
    if (how === 'CANCELED') this.command('TIMER_CANCELED', { ...WORKER, ...ids })
    else this.add('TIMER_FIRED', ids)
  }

  end(how: End): History {
    if (how === 'completed') this.command('WORKFLOW_EXECUTION_COMPLETED', { result: payloads({}) })
    if (how === 'cancelled') this.command('WORKFLOW_EXECUTION_CANCELED', {})
    if (how === 'failed') this.command('WORKFLOW_EXECUTION_FAILED', { failure: { message: 'failed' } })
    if (how === 'continuedAsNew')
      this.command('WORKFLOW_EXECUTION_CONTINUED_AS_NEW', { workflowType: { name: 'deploy' }, ...QUEUE })
    return protocol.temporal.api.history.v1.History.fromObject({ events: this.#events })
  }
}

/** The approval's deadline begins to run. */
export const waits: Happening = (past) => past.startTimer()

/** Nobody decided until the deadline. */
export const expires: Happening = (past) => {
  past.endTimer('FIRED')
  past.task()
}

const DECIDED = { accepted: true, by: 'ben', verified: false, note: 'a claim' }

/** A person decides by update, and is the last who had to. */
export const decides =
  (decision: 'approve' | 'reject', message: unknown): Happening =>
  (past) => {
    past.task()
    const answered = past.accept(decision, message)
    past.activity('checkApproval', DECIDED)
    answered('decided')
    past.endTimer('CANCELED')
  }

/** As `decides`, by signal. */
export const signals =
  (decision: 'approve' | 'reject', message: unknown): Happening =>
  (past) => {
    past.add('WORKFLOW_EXECUTION_SIGNALED', { ...WORKER, signalName: `${decision}Signal`, input: payloads(message) })
    past.task()
    past.activity('checkApproval', DECIDED)
    past.endTimer('CANCELED')
  }

/** An update that only changes what the run will do: in a wait, or meanwhile an activity runs. */
export const updates =
  (name: string, message: unknown = { by: 'ben' }): Happening =>
  (past) => {
    past.task()
    past.accept(name, message)('noted')
  }

/** "Request Cancellation" in a wait for an approval. */
export const cancelsWaiting: Happening = (past) => {
  past.add('WORKFLOW_EXECUTION_CANCEL_REQUESTED', WORKER)
  past.task()
  past.endTimer('CANCELED')
}

/** The search attributes were written `times` times. */
export const shows =
  (times: number): Happening =>
  (past) => {
    for (let time = 0; time < times; time++)
      past.command('UPSERT_WORKFLOW_SEARCH_ATTRIBUTES', { searchAttributes: { indexedFields: {} } })
  }

function historyOf(start: Start, rows: readonly Row[], end: End): History {
  const past = new Past(start)
  for (const row of rows) {
    if (typeof row === 'function') row(past)
    else past.activity(...row)
  }
  return past.end(end)
}

let bundle: Promise<WorkflowBundleWithSourceMap> | undefined

/**
 * Replays a history on the workflows of this tree; throws what the replay throws. Answers with the calls the workflow
 * made, arguments and all: a replay compares no more than names.
 */
export async function replay(history: unknown): Promise<{ activity: string; args: unknown[] }[]> {
  bundle ??= bundleOf(undefined, ['./scheduled.ts'])
  const calls: { activity: string; args: unknown[] }[] = []
  const sinks: InjectedSinks<ScheduledSinks> = {
    scheduled: { activity: { fn: (_, activity, args) => void calls.push({ activity, args }), callDuringReplay: true } },
  }
  await Worker.runReplayHistory({ workflowBundle: await bundle, sinks }, history, 'headgate/shop/staging')
  return calls
}

/** The runbook does exactly this, in this order, closes so, and says that it ended so. */
export function replays(title: string, start: Start, rows: readonly Row[], end: End): void {
  test(title, async () => {
    const calls = await replay(historyOf(start, rows, end))
    const said = calls.filter(({ activity }) => activity === 'conclude').map(({ args }) => endIn(args[1]))
    expect(said).toEqual(rows.flatMap((row) => (Array.isArray(row) && row[0] === 'conclude' ? [endIn(row[1])] : [])))
  })
}

const endIn = (ending: unknown): Pick<Ending, 'outcome' | 'cause'> =>
  Ending.pick({ outcome: true, cause: true }).strip().parse(ending)

/** A control: the runbook does not do this, and the replay sees it. Any other error than that fails the test. */
export function refuses(title: string, start: Start, rows: readonly Row[], end: End): void {
  test(`refused: ${title}`, () => expect(replay(historyOf(start, rows, end))).rejects.toThrow(NOT_WHAT_IT_DID))
}

/** Core's code for a history that the workflow did not write. */
export const NOT_WHAT_IT_DID = /\[TMPRL1100\]/
