import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { type Blocked, blockedSessions, sessionsNamed } from '../adapters/postgres/activity.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { STATUS_SESSION } from '../domain/names.js'
import type { Step } from './changing.js'
import { vouched } from './vouch.js'

/** Short sessions of a tool are seen at this pace; one that is missed makes the gate count as open, never as closed. */
const SESSIONS_MS = 20
/** At first a tool may only tell of its ledger, and be gone again at once. */
const FIRST_SESSIONS_MS = 2
const FIRST_MS = 5_000
const BLOCKERS_MS = 250

/** What a watch tells whoever works beside it. */
export interface Watch {
  /** Resolves when whoever came in before is accounted for: seen in a look that began after this was asked, and journaled. */
  settled: () => Promise<void>
}

/**
 * Runs `work` while a second session watches: accounts for the tool's sessions behind the closed gate, and names who blocks us.
 * It begins when the watch has had its first look: a tool that only tells of its ledger may be gone within milliseconds.
 */
export async function watched<T>(
  step: Step,
  work: (watch: Watch) => Promise<T>,
  onBlocked?: (blocked: Blocked[]) => void,
): Promise<T> {
  const { site, fence } = step
  const sessions = new Sessions(step)
  const stop = new AbortController()
  const watching = withSession(
    withDatabase(site.control, 'postgres'),
    { applicationName: fence.applicationName },
    async (session) => {
      let blockersAt = 0
      for (const begun = performance.now(); !stop.signal.aborted; ) {
        await sessions.look(session)
        if (onBlocked && performance.now() - blockersAt > BLOCKERS_MS) {
          blockersAt = performance.now()
          onBlocked(await blockedSessions(session, step.run.database, fence.applicationName))
        }
        const isFirst = performance.now() - begun < FIRST_MS
        await pause(isFirst ? FIRST_SESSIONS_MS : SESSIONS_MS)
      }
    },
  )
    .catch(() => {})
    .finally(() => sessions.end())
  await sessions.nextLook()
  try {
    return await work({ settled: () => sessions.settled() })
  } finally {
    stop.abort()
    await watching
    await sessions.settled()
  }
}

/** Sessions of the tool, each journaled once. */
class Sessions {
  readonly #step: Step
  readonly #seen = new Map<string, Promise<void>>()
  #waiting: (() => void)[] = []
  #isOver = false

  constructor(step: Step) {
    this.#step = step
  }

  async look(session: Client): Promise<void> {
    const { run, fence } = this.#step
    const waiting = this.#waiting.splice(0)
    try {
      if (run.gate !== 'closed') return
      for (const own of await sessionsNamed(session, run.database, [fence.applicationName, STATUS_SESSION])) {
        const key = `${own.pid}/${own.startedAt}`
        if (this.#seen.has(key)) continue
        // Not waited for: the next session may be gone by then. One that is not journaled makes the gate count as open.
        this.#seen.set(
          key,
          fence.recordSession(own).catch(() => void this.#seen.delete(key)),
        )
      }
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

  end(): void {
    this.#isOver = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** Asks the migrator behind the gate: what a tool opens that tells of its ledger itself is accounted for. */
export const asked = <T>(step: Step, work: () => Promise<T>): Promise<T> =>
  step.site.migrator.ledgerTable === undefined && step.run.gate === 'closed'
    ? vouched(step, () => watched(step, work))
    : work()
