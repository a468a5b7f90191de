import { latestAttempt } from '../adapters/journal/epochs.js'
import { fenceScope } from '../adapters/journal/fence.js'
import { isOnDatabaseOf, type RunRecord, resourceOf } from '../adapters/journal/runs.js'
import { listSteps, recordLook } from '../adapters/journal/steps.js'
import { sessionsNamed } from '../adapters/postgres/activity.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { applicationName } from '../domain/names.js'
import type { Site } from './site.js'

/**
 * Accounts for what the attempt before has connected behind the closed gate and could not tell of: its worker is frozen, or
 * cannot reach the journal any more. Comes before the fence: who takes that ends them, and then nobody sees them any more.
 * One that cannot be accounted for makes the gate count as open, and is no reason to fail.
 */
export async function accountForEarlier({ journal, control }: Site, run: RunRecord): Promise<void> {
  const counted = run.gateSessions
  if (run.gate !== 'closed' || counted === undefined) return
  try {
    const resource = resourceOf(run)
    const scope = await fenceScope(journal, resource)
    // Of an attempt that died before it had done anything the one before may still have some.
    const attempts = [await latestAttempt(journal, resource), (await listSteps(journal, run.name)).at(-1)]
    const names = attempts.flatMap((attempt) => (attempt ? [applicationName(scope, attempt.epoch, attempt.step)] : []))
    const as = { applicationName: 'headgate earlier', readOnly: true }
    await withSession(withDatabase(control, 'postgres'), as, async (session) => {
      for (const own of await sessionsNamed(session, run.database, names))
        if (isOnDatabaseOf(run, own)) await recordLook(journal, run.name, counted, own)
    })
  } catch {}
}
