import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { type Blocked, blockedSessions, cancelWaiting, sessionsNamed } from '../adapters/postgres/activity.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { STATUS_SESSION } from '../domain/names.js'
import type { Step } from './changing.js'
import { vouched } from './vouch.js'

/** Short sessions of a tool are seen at this pace; one that is missed makes the gate count as open, never as closed. */
const SESSIONS_MS = 20
/** Where none is inside, or one has just come or gone, the next may only tell of the tool's ledger and be gone again at once. */
const SHORT_SESSIONS_MS = 2
const SETTLED_MS = 5_000
const REOPEN_MS = 100
const BLOCKERS_MS = 50
/** In so many looks one after the other others are seen behind us before we give way; a `lock_timeout` does it before. */
const LOOKS_IN_THE_WAY = 3

/** What a watch tells whoever works beside it. */
export interface Watch {
  /** Resolves when whoever came in before is accounted for: seen in a look that began after this was asked, and journaled. */
  settled: () => Promise<void>
}

/** What was seen of the tool's sessions. */
export interface OnLocks {
  onBlocked: (blocked: Blocked[]) => void
  /** A statement of ours was cancelled: others had queued up behind it. */
  onGaveWay: () => void
}

/**
 * Runs `work` while a second session watches: accounts for the tool's sessions behind the closed gate, names who blocks us, and
 * cancels a statement of the tool's that waits for a table as soon as others wait behind it. It begins when the watch has had
 * its first look: a tool that only tells of its ledger may be gone within milliseconds.
 */
export async function watched<T>(step: Step, work: (watch: Watch) => Promise<T>, onLocks?: OnLocks): Promise<T> {
  const { site, fence } = step
  const sessions = new Sessions(step)
  const inTheWay = new InTheWay(step)
  const stop = new AbortController()
  const watch = (): Promise<void> =>
    withSession(withDatabase(site.control, 'postgres'), { applicationName: fence.applicationName }, async (session) => {
      let blockersAt = 0
      while (!stop.signal.aborted) {
        const isQuiet = await sessions.look(session)
        if (onLocks && performance.now() - blockersAt > BLOCKERS_MS) {
          blockersAt = performance.now()
          const blocked = await blockedSessions(session, step.run.database, fence.applicationName)
          onLocks.onBlocked(blocked)
          if (await inTheWay.giveWay(session, blocked)) onLocks.onGaveWay()
        }
        await pause(isQuiet ? SESSIONS_MS : SHORT_SESSIONS_MS)
      }
    })
  const watching = (async () => {
    while (!stop.signal.aborted) {
      await watch().catch(() => {})
      sessions.passOver()
      if (!stop.signal.aborted) await pause(REOPEN_MS, undefined, { signal: stop.signal }).catch(() => {})
    }
  })().finally(() => sessions.end())
  await sessions.nextLook()
  try {
    return await work({ settled: () => sessions.settled() })
  } finally {
    stop.abort()
    await watching
    await sessions.settled()
  }
}

/** Which of our sessions others wait behind, by how many looks. */
class InTheWay {
  readonly #step: Step
  #looks = new Map<number, number>()

  constructor(step: Step) {
    this.#step = step
  }

  async giveWay(session: Client, blocked: readonly Blocked[]): Promise<boolean> {
    const queued = blocked.filter(({ forTable, behindUs }) => forTable && behindUs > 0)
    this.#looks = new Map(queued.map(({ pid }) => [pid, (this.#looks.get(pid) ?? 0) + 1]))
    let gaveWay = false
    for (const [pid, looks] of this.#looks)
      if (looks >= LOOKS_IN_THE_WAY && (await cancelWaiting(session, pid, this.#step.fence.applicationName)))
        gaveWay = true
    return gaveWay
  }
}

/** Sessions of the tool, each journaled once. */
class Sessions {
  readonly #step: Step
  readonly #seen = new Map<string, Promise<void>>()
  #inside = ''
  #changedAt = performance.now()
  #waiting: (() => void)[] = []
  #isOver = false

  constructor(step: Step) {
    this.#step = step
  }

  /** Whether none will come and go soon: the gate is open, or the same ones have been inside for a while. */
  async look(session: Client): Promise<boolean> {
    const { run, fence } = this.#step
    const waiting = this.#waiting.splice(0)
    try {
      if (run.gate !== 'closed') return true
      const found = await sessionsNamed(session, run.database, [fence.applicationName, STATUS_SESSION])
      const keys = found.map(({ pid, startedAt }) => `${pid}/${startedAt}`)
      for (const [index, own] of found.entries()) {
        const key = keys[index] ?? ''
        if (this.#seen.has(key)) continue
        // Not waited for: the next session may be gone by then. One that is not journaled makes the gate count as open.
        this.#seen.set(
          key,
          fence.recordSession(own).catch(() => void this.#seen.delete(key)),
        )
      }
      const inside = keys.toSorted().join()
      if (inside !== this.#inside) this.#changedAt = performance.now()
      this.#inside = inside
      return found.length > 0 && performance.now() - this.#changedAt > SETTLED_MS
    } finally {
      for (const resolve of waiting) resolve()
    }
  }

  /** A look that begins from now on; at once when there is none any more. */
  async nextLook(): Promise<void> {
    if (!this.#isOver) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async settled(): Promise<void> {
    await this.nextLook()
    await Promise.all(this.#seen.values())
  }

  /** There is no looking for now: whoever waits for a look has had it. */
  passOver(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  end(): void {
    this.#isOver = true
    this.passOver()
  }
}

/** Asks the migrator behind the gate: what a tool opens that tells of its ledger itself is accounted for. */
export const asked = <T>(step: Step, work: () => Promise<T>): Promise<T> =>
  step.site.migrator.ledgerTable === undefined && step.run.gate === 'closed'
    ? vouched(step, () => watched(step, work))
    : work()
