import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  setHandler,
} from '@temporalio/workflow'
import { SteeringMessage } from '../domain/approval.js'
import { excerpt } from '../domain/excerpt.js'
import { failedWith, failure } from '../domain/failures.js'
import * as messages from './messages.js'

const NOTED =
  'noted: the contract stage is stopped if nothing of it has committed, else it goes on to its end, and its note says so'

/** Hold, continue, retry and cancel: what a person may say to a run at any time, and what it means where the run is. */
export class Steering {
  /** What the run waits for, if it does. */
  awaiting: 'approval' | 'hold' | 'retry' | undefined
  #held: { now: boolean; by: string } | undefined
  #cancel: { by: string; native: boolean; why: string } | undefined
  /** Why a cancel comes too late now; undefined while it does not. */
  #tooLate: string | undefined
  #retry = false
  #running: { scope: CancellationScope; answer: string } | undefined
  readonly #onChange: () => void

  constructor(held: boolean, onChange: () => void) {
    this.#held = held ? { now: false, by: '' } : undefined
    this.#onChange = onChange
  }

  get isHeld(): boolean {
    return this.#held !== undefined
  }

  /** Who holds it at the next step, and not only at the next point where the gate is open. */
  get heldNowBy(): string | undefined {
    return this.#held?.now === true ? this.#held.by : undefined
  }

  /** A hold that was asked for and is not in force yet, in words. */
  get holdToCome(): string | undefined {
    if (this.#held === undefined || this.awaiting === 'hold') return undefined
    const { by, now } = this.#held
    return `a hold${by === '' ? '' : ` by ${by}`} is noted: ${now ? 'before the next step' : 'at the next point where the gate is open'}`
  }

  get cancelled(): { by: string; native: boolean } | undefined {
    return this.#cancel
  }

  throwIfCancelled(): void {
    if (this.#cancel) throw failure('Cancelled', `cancelled by ${this.#cancel.by}${this.#cancel.why}`)
  }

  allowCancel(): void {
    this.#tooLate = undefined
  }

  refuseCancel(why: string): void {
    this.#tooLate = why
  }

  /** Runs a step so that a cancel reaches it, and turns its end into `Cancelled`. */
  async stoppable<T>(call: () => Promise<T>): Promise<T> {
    try {
      const result = await this.#reached(call, 'the running step is told to stop')
      this.throwIfCancelled()
      return result
    } catch (error) {
      if (isCancellation(error)) this.throwIfCancelled()
      throw error
    }
  }

  /**
   * As `stoppable`, a step that has no way back once something of it has committed. Where a cancel stopped it `settle`, which
   * no cancel reaches, throws `Cancelled` if nothing had, else does the rest: the cancel came too late, as the note says.
   */
  async stoppableUntilCommitted(call: () => Promise<string>, settle: () => Promise<string>): Promise<string> {
    try {
      const note = await this.#reached(call, NOTED).catch((error) => {
        if (this.#cancel && isUndecided(error)) return settle()
        throw error
      })
      return this.#cancel ? this.#overruled(note, this.#cancel) : note
    } catch (error) {
      if (failedWith(error, 'Cancelled')) this.throwIfCancelled()
      throw error
    }
  }

  #overruled(note: string, { by, native }: { by: string; native: boolean }): string {
    this.#cancel = undefined
    return `${note}; ${native ? by : `the cancel by ${by}`} came too late, the stage had begun to commit`
  }

  /** `answer`: what who cancels is told. */
  async #reached<T>(call: () => Promise<T>, answer: string): Promise<T> {
    const scope = new CancellationScope({ cancellable: true })
    this.#running = { scope, answer }
    try {
      return await scope.run(call)
    } finally {
      this.#running = undefined
    }
  }

  async whileHeld(): Promise<void> {
    await this.#wait('hold', () => this.#held === undefined)
  }

  /** Waits, after a failed step, for `retry` or `cancel`; whether it was `retry`. */
  async retryAsked(): Promise<boolean> {
    this.#retry = false
    this.#tooLate = undefined
    await this.#wait('retry', () => this.#retry)
    return this.#retry
  }

  async #wait(what: 'hold' | 'retry', over: () => boolean): Promise<void> {
    this.awaiting = what
    this.#onChange()
    await condition(() => over() || this.#cancel !== undefined)
    this.awaiting = undefined
    this.#onChange()
  }

  listen(): void {
    setHandler(messages.holdUpdate, (message) => this.#hold(message), {
      validator: requireShape,
      description: 'Stop at the next point where the gate is open: { "by": "you" }',
    })
    setHandler(messages.continueUpdate, (message) => this.#continue(message), {
      validator: requireShape,
      description: 'Lift a hold: { "by": "you" }',
    })
    setHandler(messages.retryUpdate, () => this.#retryNow(), {
      validator: requireShape,
      description: 'Run the failed step again: { "by": "you" }',
    })
    setHandler(messages.cancelUpdate, (message) => this.#requestCancel(message), {
      validator: (message) => {
        requireShape(message)
        if (this.#tooLate) throw failure('TooLate', `too late: ${this.#tooLate}`)
      },
      description: 'Stop and undo: { "by": "you" }',
    })
    // "Request Cancellation" in the UI. It can come once, and cannot be refused: where it is too late it is dropped.
    void CancellationScope.current().cancelRequested.catch(() => {
      if (!this.#tooLate) this.#cancelNow('a cancellation request', true)
    })
  }

  #hold(message: unknown): string {
    const { now, by } = SteeringMessage.parse(message)
    this.#held = { now: now === true, by }
    this.#onChange()
    return now ? 'held at the next step' : 'held at the next point where the gate is open'
  }

  #continue(message: unknown): string {
    const { by } = SteeringMessage.parse(message)
    if (!this.#held) return 'the run is not held'
    this.#held = undefined
    return `continued by ${by}`
  }

  #retryNow(): string {
    if (this.awaiting !== 'retry') return 'no failed step waits for a retry'
    this.#retry = true
    return 'the failed step runs again'
  }

  #requestCancel(message: unknown): string {
    const { by, reason } = SteeringMessage.parse(message)
    if (this.#cancel) return `cancelled already by ${this.#cancel.by}`
    this.#cancelNow(by, false, reason === undefined ? '' : `: ${excerpt(reason)}`)
    return this.#running?.answer ?? 'cancelled'
  }

  /** `why`: in words that follow the name. */
  #cancelNow(by: string, native: boolean, why = ''): void {
    this.#cancel ??= { by, native, why }
    this.#running?.scope.cancel()
  }
}

/** Shape only; it throws inside a validator, so that nothing is written into the history. */
function requireShape(message: unknown): void {
  if (!SteeringMessage.safeParse(message).success) throw failure('InputInvalid', 'send { "by": "your name" }')
}

/** Whether a step that was told to stop may have done something: the server repeats none of those, whatever they failed of. */
function isUndecided(error: unknown): boolean {
  if (isCancellation(error)) return true
  const cause = error instanceof ActivityFailure ? error.cause : undefined
  return cause !== undefined && !(cause instanceof ApplicationFailure && cause.nonRetryable)
}
