import { type Blocked, blockedSessions, sessionsNamed } from '../adapters/postgres/activity.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import type { Step } from './changing.js'

/** Short sessions of a tool are seen at this pace; one that is missed makes the gate count as open, never as closed. */
const SESSIONS_MS = 20
const BLOCKERS_MS = 250

export interface Watched<T> {
  result: T
  /** Who stood in the way of our sessions, seen last. */
  blockers: Blocked[]
}

/** Runs `work` while a second session watches: accounts for the tool's sessions behind the closed gate, and names who blocks us. */
export async function watched<T>(
  step: Step,
  work: () => Promise<T>,
  onBlocked: (blocked: Blocked[]) => void,
): Promise<T> {
  const { site, run, fence } = step
  const stop = new AbortController()
  const watching = withSession(
    withDatabase(site.control, 'postgres'),
    { applicationName: fence.applicationName },
    async (session) => {
      const seen = new Set<string>()
      let lookedAt = 0
      while (!stop.signal.aborted) {
        if (run.gate === 'closed') {
          for (const { pid, startedAt } of await sessionsNamed(session, run.database, fence.applicationName)) {
            const key = `${pid}/${startedAt}`
            if (!seen.has(key)) await fence.recordSession(pid, startedAt)
            seen.add(key)
          }
        }
        if (performance.now() - lookedAt > BLOCKERS_MS) {
          lookedAt = performance.now()
          onBlocked(await blockedSessions(session, run.database, fence.applicationName))
        }
        await new Promise((resolve) => setTimeout(resolve, SESSIONS_MS))
      }
    },
  ).catch(() => {})
  try {
    return await work()
  } finally {
    stop.abort()
    await watching
  }
}
