import type { Client } from 'pg'
import { isOnDatabaseOf, openRunOf } from '../adapters/journal/runs.js'
import { recordLook } from '../adapters/journal/steps.js'
import { beCounted, ownSession } from '../adapters/postgres/account.js'
import { withSession } from '../adapters/postgres/session.js'
import type { Target } from '../adapters/postgres/target.js'
import type { Site } from './site.js'

/**
 * Runs `work` on a session that only looks. Where an open run keeps the gate closed the session is accounted for as ours:
 * whoever asks for a plan meanwhile must not cost the run its proof that nobody else came in.
 */
export const lookInto = <T>(
  { journal, configuration }: Site,
  target: Target,
  applicationName: string,
  work: (session: Client) => Promise<T>,
): Promise<T> =>
  withSession(target, { applicationName, readOnly: true }, async (session) => {
    const run = await openRunOf(journal, configuration.project, configuration.environment)
    if (run?.gate === 'closed' && run.gateSessions !== undefined) {
      // Asked after the run was read: who is alive now came in after the count began.
      const own = await ownSession(session)
      if (isOnDatabaseOf(run, own)) await recordLook(journal, run.name, run.gateSessions, own)
      await beCounted(session)
    }
    return work(session)
  })
