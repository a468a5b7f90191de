import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'

const GOODBYE_MS = 2_000

/** Ends a session, and with it the statement it may be at. Waits for the server's goodbye for a moment only: the network may be gone. Never throws. */
export async function leave(session: Client): Promise<void> {
  const gone = new AbortController()
  const ending = session
    .end()
    .catch(() => {})
    .finally(() => gone.abort())
  await Promise.race([ending, pause(GOODBYE_MS, undefined, { signal: gone.signal }).catch(() => {})])
  if (!gone.signal.aborted) session.connection.stream.destroy()
}
