import { setMaxListeners } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import type { Ending, RunState, StepLine } from '../domain/run.js'
import type { Engine } from './connection.js'
import { endingWhenClosed } from './ended.js'
import { type Progress, progressOf } from './progress.js'

/** Who does not answer a viewer's question. */
export type Silent = 'worker' | 'Temporal'

/** One change of a run, as its viewers see it. */
export type RunEvent =
  | ({ event: 'run'; startedAt: number } & Pick<
      RunState,
      'run' | 'project' | 'environment' | 'tag' | 'database' | 'digest'
    >)
  | ({ event: 'step' } & StepLine)
  | ({ event: 'progress' } & Progress)
  | { event: 'waiting'; run: string; stage: number; command: string; deadline?: number }
  | { event: 'held'; run: string; command: string }
  | { event: 'away'; who: Silent }
  | { event: 'back' }
  | ({ event: 'end' } & Ending)

const POLL_MS = 200
/** While a person is waited for nothing changes quickly. */
const WAITING_POLL_MS = 1_000
/** How long one question to the run may take. */
const ANSWER_MS = 3_000
const PROGRESS_MS = 1_000
/** The server answers this by itself. */
const SERVER_ANSWER_MS = 1_000

/**
 * Each change of the run that `handle` names, until it ended: `end` is the last event. The newest execution is asked, so
 * that a run that continues as new is followed. A worker that does not answer is an event, not an end. Ends without `end`
 * when `signal` aborts.
 */
export async function* follow(
  engine: Engine,
  handle: WorkflowHandle,
  executionId: string,
  signal: AbortSignal,
): AsyncGenerator<RunEvent> {
  const { client } = engine
  const newest = client.workflow.getHandle(handle.workflowId)
  const seen = new Seen()
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  // Each call that is asked again while a run lasts listens to it.
  setMaxListeners(0, either)
  const execution = client.workflow.getHandle(handle.workflowId, executionId)
  // A question left open would be asked again once the connection is closed, and that throws where nobody catches it.
  const closed = client.withAbortSignal(either, () => endingWhenClosed(execution, () => seen.run, either))
  closed.catch(() => {})
  let progressAt = 0
  try {
    while (!signal.aborted) {
      const state = await askState(engine, newest)
      if ('who' in state) yield* seen.away(state)
      else if (seen.isAnother(state)) return yield { event: 'end', ...(await closed) }
      else {
        yield* seen.changes(state)
        if (state.ending) return yield { event: 'end', ...state.ending }
        if (state.state === 'running' && Date.now() - progressAt > PROGRESS_MS) {
          progressAt = Date.now()
          yield* seen.progress(await progressOf(engine, newest))
        }
      }
      const ending = await Promise.race([closed, pause(seen.isWaiting ? WAITING_POLL_MS : POLL_MS, undefined)])
      if (ending === undefined) continue
      const last = await askState(engine, newest)
      if (!('who' in last) && !seen.isAnother(last)) yield* seen.changes(last)
      return yield { event: 'end', ...ending }
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    stop.abort()
  }
}

interface NoAnswer {
  who: Silent
}

async function askState({ client }: Engine, handle: WorkflowHandle): Promise<RunState | NoAnswer> {
  try {
    return await client.withDeadline(Date.now() + ANSWER_MS, () => handle.query<RunState>('state'))
  } catch {
    // A server that is gone looks like a worker that is: the client tries again until the deadline.
    const ask = (): Promise<unknown> => client.workflowService.getSystemInfo({})
    const isThere = await client.withDeadline(Date.now() + SERVER_ANSWER_MS, ask).then(
      () => true,
      () => false,
    )
    return { who: isThere ? 'worker' : 'Temporal' }
  }
}

/** What the viewer knows already: only what differs from it is an event. */
class Seen {
  run = ''
  isWaiting = false
  #told = false
  #silent: Silent | undefined
  #unanswered = 0
  #lines = new Map<string, string>()
  #awaiting = ''
  #progress = ''

  /** The environment's newest run is not the one that is followed any more. */
  isAnother({ run }: RunState): boolean {
    return this.run !== '' && run !== this.run
  }

  /** One question without an answer is no news. */
  *away({ who }: NoAnswer): Generator<RunEvent> {
    this.#unanswered = this.#silent === who ? 0 : this.#unanswered + 1
    if (this.#unanswered < 2) return
    this.#silent = who
    yield { event: 'away', who }
  }

  *changes(state: RunState): Generator<RunEvent> {
    if (this.#silent !== undefined) yield { event: 'back' }
    this.#silent = undefined
    this.#unanswered = 0
    if (!this.#told && state.run !== '') {
      this.#told = true
      this.run = state.run
      const { run, project, environment, tag, database, digest } = state
      const startedAt = state.lines[0]?.startedAt ?? Date.now()
      yield {
        event: 'run',
        run,
        project,
        environment,
        ...(tag === undefined ? {} : { tag }),
        database,
        digest,
        startedAt,
      }
    }
    for (const line of state.lines) {
      const key = `${line.step} ${line.stage} ${line.startedAt}`
      const value = `${line.state} ${line.note ?? ''}`
      if (this.#lines.get(key) === value) continue
      this.#lines.set(key, value)
      yield { event: 'step', ...line }
    }
    yield* this.#waiting(state)
  }

  *#waiting(state: RunState): Generator<RunEvent> {
    const command = state.state === 'waiting' || state.state === 'held' ? (state.waiting ?? '') : ''
    this.isWaiting = command !== ''
    if (command === this.#awaiting) return
    this.#awaiting = command
    if (command === '') return
    const { run, stage, deadline } = state
    if (state.state === 'held') yield { event: 'held', run, command }
    else yield { event: 'waiting', run, stage, command, ...(deadline === undefined ? {} : { deadline }) }
  }

  *progress(progress: Progress | undefined): Generator<RunEvent> {
    const value = JSON.stringify(progress ?? {})
    if (progress === undefined || value === this.#progress) return
    if (progress.text === '' && progress.attempt === 1) return
    this.#progress = value
    yield { event: 'progress', ...progress }
  }
}
