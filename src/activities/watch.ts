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

/**
 * Runs `work` while a second session watches: accounts for the tool's sessions behind the closed gate, and names who blocks us.
 * It begins when the watch has had its first look: a tool that only tells of its ledger may be gone within milliseconds.
 */
export async function watched<T>(
  step: Step,
  work: () => Promise<T>,
  onBlocked?: (blocked: Blocked[]) => void,
): Promise<T> {
  const { site, run, fence } = step
  const stop = new AbortController()
  let looks = (): void => {}
  const firstLook = new Promise<void>((resolve) => {
    looks = resolve
  })
  const watching = withSession(
    withDatabase(site.control, 'postgres'),
    { applicationName: fence.applicationName },
    async (session) => {
      const names = [fence.applicationName, STATUS_SESSION]
      const seen = new Map<string, Promise<void>>()
      let lookedAt = 0
      const begun = performance.now()
      while (!stop.signal.aborted) {
        if (run.gate === 'closed') {
          for (const own of await sessionsNamed(session, run.database, names)) {
            const key = `${own.pid}/${own.startedAt}`
            // Not waited for: the next session may be gone by then.
            if (!seen.has(key)) seen.set(key, fence.recordSession(own))
          }
        }
        if (onBlocked && performance.now() - lookedAt > BLOCKERS_MS) {
          lookedAt = performance.now()
          onBlocked(await blockedSessions(session, run.database, fence.applicationName))
        }
        looks()
        const isFirst = performance.now() - begun < FIRST_MS
        await new Promise((resolve) => setTimeout(resolve, isFirst ? FIRST_SESSIONS_MS : SESSIONS_MS))
      }
      await Promise.all(seen.values())
    },
  )
    .catch(() => {})
    .finally(looks)
  await firstLook
  try {
    return await work()
  } finally {
    stop.abort()
    await watching
  }
}

/** Asks the migrator behind the gate: what a tool opens that tells of its ledger itself is accounted for. */
export const asked = <T>(step: Step, work: () => Promise<T>): Promise<T> =>
  step.site.migrator.ledgerTable === undefined && step.run.gate === 'closed'
    ? vouched(step, () => watched(step, work))
    : work()
