import { hostname } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import { Fence, type OwnSession, type RecordedContainer } from '../../domain/fence.js'
import { applicationName } from '../../domain/names.js'
import type { ServiceChange } from '../../domain/service-call.js'
import { endOlderSessions } from '../postgres/gate.js'
import { leave } from '../postgres/leave.js'
import { openSession, quoteIdentifier } from '../postgres/session.js'
import { type Target, withDatabase } from '../postgres/target.js'
import { forgetContainer, recordContainer, recordProcess } from './epochs.js'
import { FencedJournal } from './fenced-journal.js'
import type { Journal } from './journal.js'
import { recordServiceChange } from './service-changes.js'

/** How long a round trip on the guard may take. A longer one may be the answer to a question of before a freeze: it is asked again. */
const FRESH_MS = 1_000
/** A guard that does not answer for so long is lost, as the server itself counts it: nobody closes a connection whose network is gone. */
const SILENT_MS = 30_000
/** How often sessions of older attempts are looked for while the fence is held: one of them may have been on its way. */
const SWEEP_MS = 200
/** How often the guard is asked while a tool runs that asks nothing itself. */
const ASK_MS = 1_000
const END_WITHIN_MS = 10_000
/** What goes on beside the step ends at once, unless the network is gone. */
const BESIDE_MS = 2_000

export interface FenceRequest {
  journal: Journal
  /** The cluster the resource lives in. */
  target: Target
  /** `<system identifier>/<database>`. */
  resource: string
  run: string
  step: string
  /** Ends the effects of the attempt that holds the fence. */
  signal: AbortSignal
  /** Ends its waiting for another run's turn to be over. */
  waiting: AbortSignal
  progress: (text: string) => void
  /** Keeps a session of ours on the database, where the gate is closed and sessions count. */
  onSession: (journal: Journal, session: OwnSession) => Promise<void>
}

/** The fence of one attempt, from the moment its guard is connected. */
export class HeldFence extends Fence {
  override readonly epoch: number
  override readonly applicationName: string
  override readonly signal: AbortSignal
  readonly journal: FencedJournal
  readonly #request: FenceRequest
  readonly #scope: string
  readonly #guard: Client
  readonly #lost = new AbortController()
  #asking: Promise<unknown> = Promise.resolve()

  constructor(request: FenceRequest, epoch: number, scope: string, guard: Client) {
    super()
    this.epoch = epoch
    this.applicationName = applicationName(scope, epoch, request.step)
    this.signal = AbortSignal.any([request.signal, this.#lost.signal])
    this.journal = new FencedJournal(request.journal, request.resource, epoch)
    this.#request = request
    this.#scope = scope
    this.#guard = guard
    const gone = (): void => this.#lose('the guard connection was lost')
    guard.once('error', gone)
    guard.once('end', gone)
  }

  /** Why the fence is lost; undefined while it is held. */
  get loss(): unknown {
    return this.#lost.signal.aborted ? this.#lost.signal.reason : undefined
  }

  override async check(): Promise<void> {
    this.#request.signal.throwIfAborted()
    await this.requireHeld()
    this.#request.signal.throwIfAborted()
  }

  /** One fresh round trip on the guard. Throws `FenceLost`. */
  async requireHeld(): Promise<void> {
    for (;;) {
      this.#lost.signal.throwIfAborted()
      const asked = performance.now()
      const epoch = await this.#currentEpoch()
      this.#lost.signal.throwIfAborted()
      if (epoch !== this.epoch) this.#lose('a later attempt has taken over')
      else if (performance.now() - asked <= FRESH_MS) return
    }
  }

  override async recordProcess(pid: number, startTime: string): Promise<void> {
    await recordProcess(this.journal, this.#request.resource, this.epoch, hostname(), { pid, startTime })
  }

  override async recordContainer(container: RecordedContainer): Promise<void> {
    await recordContainer(this.journal, this.#request.resource, this.epoch, container)
  }

  override async forgetContainer(container: RecordedContainer): Promise<void> {
    await forgetContainer(this.journal, this.#request.resource, container)
  }

  override async recordServiceChange(service: string, change: ServiceChange): Promise<string> {
    const { resource, run } = this.#request
    return recordServiceChange(this.journal, { resource, epoch: this.epoch, run, service, change })
  }

  override async recordSession(session: OwnSession): Promise<void> {
    await this.#request.onSession(this.journal, session)
  }

  override progress(text: string): void {
    this.#request.progress(text)
  }

  /** Runs `act`; beside it asks the guard, and ends sessions of older attempts that come late. */
  whileHeld<T>(act: () => Promise<T>): Promise<T> {
    return this.#beside(act, (over) => [this.#ask(over), this.#sweep(over)])
  }

  /** Runs `act` for the attempt that holds the fence elsewhere; beside it asks the guard. */
  whileJoined<T>(act: () => Promise<T>): Promise<T> {
    return this.#beside(act, (over) => [this.#askForHolder(over)])
  }

  /** Throws `FenceLost` where the attempt that holds the fence is not connected any more. */
  async requireHolder(): Promise<void> {
    const name = applicationName(this.#scope, this.epoch, 'guard')
    const found = await this.#request.journal.read('select from pg_stat_activity where application_name = $1', [name])
    if (found.length === 0) this.#lose('the attempt that asked for this is over')
    this.#lost.signal.throwIfAborted()
  }

  async #askForHolder(over: AbortSignal): Promise<void> {
    while (await pause(ASK_MS, over)) {
      await this.requireHeld().catch(() => {})
      await this.requireHolder().catch(() => {})
    }
  }

  async #beside<T>(act: () => Promise<T>, work: (over: AbortSignal) => Promise<void>[]): Promise<T> {
    const done = new AbortController()
    const over = AbortSignal.any([done.signal, this.#lost.signal])
    const beside = Promise.all(work(over)).then(() => true)
    try {
      return await act()
    } finally {
      done.abort()
      const ended = new AbortController()
      await Promise.race([beside, pause(BESIDE_MS, ended.signal)])
      ended.abort()
    }
  }

  async #ask(over: AbortSignal): Promise<void> {
    // A loss is told by the signal, and to whoever checks.
    while (await pause(ASK_MS, over)) await this.requireHeld().catch(() => {})
  }

  /** On a session of its own, opened only by attempts that last: the control session may be busy for minutes. */
  async #sweep(over: AbortSignal): Promise<void> {
    const as = { applicationName: applicationName(this.#scope, this.epoch, 'watch') }
    let session: Client | undefined
    while (await pause(SWEEP_MS, over)) {
      try {
        session ??= await openSession(withDatabase(this.#request.target, 'postgres'), as)
        await endOlderSessions(session, this.#scope, this.epoch, END_WITHIN_MS)
      } catch {
        if (session) await leave(session)
        session = undefined
      }
    }
    if (session) await leave(session)
  }

  /** One after the other, each with its own answer: an answer on its way was asked for before something may have happened. */
  #currentEpoch(): Promise<number> {
    const asked = this.#asking.then(() => this.#askGuard())
    this.#asking = asked
    return asked
  }

  async #askGuard(): Promise<number> {
    const { journal, resource } = this.#request
    const answered = new AbortController()
    void pause(SILENT_MS, answered.signal).then((over) => over && this.#lose('the guard connection does not answer'))
    try {
      const { rows } = await this.#guard.query<{ epoch: string }>(
        `select epoch from ${quoteIdentifier(journal.schema)}.epochs where resource = $1`,
        [resource],
      )
      return Number(rows[0]?.epoch ?? 0)
    } catch {
      this.#lose('the guard connection was lost')
      return 0
    } finally {
      answered.abort()
    }
  }

  /** Leaving the guard ends the question that it does not answer. */
  #lose(why: string): void {
    if (this.#lost.signal.aborted) return
    this.#lost.abort(failure('FenceLost', `${why}: ${this.#request.resource}`))
    void leave(this.#guard)
  }
}

/** Waits; false at once when `signal` aborts. */
const pause = (ms: number, signal: AbortSignal): Promise<boolean> => setTimeout(ms, true, { signal }).catch(() => false)
