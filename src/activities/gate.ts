import type { Client } from 'pg'
import { recordGateClosed } from '../adapters/journal/runs.js'
import {
  countGateSessions,
  gateSessions,
  listEvents,
  ownTransactions,
  priorStates,
  recordEvent,
  recordPriorState,
  recordTransaction,
  systemIdentifierOf,
} from '../adapters/journal/steps.js'
import {
  closeDatabase,
  countsWrites,
  endSessions,
  isOpen,
  type OtherSession,
  otherSessions,
  reopenDatabase,
  type SessionCount,
  sessionCount,
  writeCount,
} from '../adapters/postgres/gate.js'
import { currentSnapshot, unexplainedXids } from '../adapters/postgres/unchanged.js'
import type { Step } from './changing.js'

const END_WITHIN_MS = 15_000

/** Shuts everybody out, ends the sessions that are left and records the proof. The database stays closed to new sessions. */
export async function closeGate(step: Step): Promise<number> {
  const { run, control } = step
  for (let ended = 0; ; ) {
    ended += await shut(step)
    const count = await sessionCount(control, run.database)
    // Whoever was on the way in when it was shut may be in the count already, and have all of the time before him.
    if ((await otherSessions(control, run.database)).length > 0) continue
    await begin(step, count)
    run.gate = 'closed'
    return ended
  }
}

/** The count of sessions begins here: nobody is inside. */
async function begin({ site, run }: Pick<Step, 'site' | 'run'>, count: SessionCount): Promise<void> {
  await recordGateClosed(site.journal, run.name, count)
  run.gateSessions = count.sessions
  run.gateCountedSince = count.since
}

/** Lets nobody in any more and ends the sessions that are left; how many. That it was open is journaled first. */
export async function shut({ site, run, control, fence }: Step): Promise<number> {
  await recordPriorState(site.journal, run.name, 'database', 'connections', {
    allowed: await isOpen(control, run.database),
  })
  await closeDatabase(control, run.database, fence)
  return endSessions(control, run.database, { withinMs: END_WITHIN_MS }, fence)
}

/**
 * Lets sessions in again: for the migrator behind the gate, or for everybody once the gate is open. Only where the run shut
 * them out: what another run left closed waits for its operator. Twice is once.
 */
export async function reopen({ site, run, control, fence }: Step): Promise<void> {
  const prior = (await priorStates(site.journal, run.name, 'database')).get('connections')
  const wasOpen = typeof prior === 'object' && prior !== null && 'allowed' in prior && prior.allowed === true
  if (wasOpen && !(await isOpen(control, run.database))) await reopenDatabase(control, run.database, fence)
}

/** Whether all sessions have ended, or some of ours are alive: the server may not have counted those yet. */
type Inside = 'nobody' | 'ours'

/**
 * Why the gate cannot be taken as closed until now; undefined when it is proven. The database must be closed and empty of
 * others. Where nobody is inside every session of ours must have been counted too: one that was not would stand for one of
 * others. `named`: what the database is called now.
 */
export async function whyOpen(
  { site, run, control }: Pick<Step, 'site' | 'run' | 'control'>,
  inside: Inside,
  named = run.database,
): Promise<string | undefined> {
  if (run.gate !== 'closed' || run.gateSessions === undefined) return 'writers have been let in since the backup'
  const now = await sessionCount(control, named)
  const isSameCount = run.gateCountedSince === undefined || run.gateCountedSince === now.since
  if (!isSameCount || now.sessions < run.gateSessions)
    return 'the count of sessions began anew: the server crashed, its counter was reset, or the database is another one'
  const others = now.sessions - run.gateSessions - (await countGateSessions(site.journal, run.name))
  if (others > 0n) return `${others} ${others === 1n ? 'session' : 'sessions'} of others came through the closed gate`
  return others < 0n && inside === 'nobody'
    ? 'sessions of ours were not counted: others may have come instead'
    : undefined
}

/** Who is inside and was not accounted for. */
export async function strangers({
  site,
  run,
  control,
}: Pick<Step, 'site' | 'run' | 'control'>): Promise<OtherSession[]> {
  const inside = await otherSessions(control, run.database)
  const known = await gateSessions(site.journal, run.name)
  return inside.filter(({ pid, startedAt }) => !known.some((one) => one.pid === pid && one.startedAt === startedAt))
}

/** What the newest stock was taken at: an event of the journal. */
const STOCK = 'gate proven closed'

/**
 * Before the way back comes into the database itself: shuts it, and where the count of sessions proves that nobody else came
 * until now, lets the count begin anew. An attempt that died while it came in leaves a session that nobody accounts for;
 * then it counts that nothing has been written since the stock was taken before: no transaction of others has committed in
 * the cluster, or no row was written in this database. Changes nothing where the gate was open.
 */
export async function takeStock(step: Step): Promise<void> {
  const { site, run, control, fence } = step
  if (run.gate !== 'closed' || !(await explains(step))) return
  await allow(step, false)
  for (;;) {
    await endSessions(control, run.database, { withinMs: END_WITHIN_MS }, fence)
    // In this order: whoever was on the way in when it was shut is in the count before anything of his is in the stock.
    const stock = {
      snapshot: await currentSnapshot(control),
      writes: (await writeCount(control, run.database)).toString(),
    }
    const count = await sessionCount(control, run.database)
    if ((await otherSessions(control, run.database)).length > 0) continue
    if ((await whyOpen(step, 'nobody')) !== undefined && !(await nobodyWroteSinceStock(step))) return
    await recordEvent(site.journal, run.name, STOCK, stock)
    await begin(step, count)
    return
  }
}

async function nobodyWroteSinceStock({ site, run, control }: Step): Promise<boolean> {
  const stock = (await listEvents(site.journal, run.name)).findLast(({ type }) => type === STOCK)
  const { snapshot, writes } = stock?.body ?? {}
  if (typeof snapshot !== 'string' || typeof writes !== 'string') return false
  // Behind the gate everybody has left: what they wrote has been counted. A counter that began anew proves nothing.
  const isCounting =
    BigInt(writes) > 0n &&
    (await countsWrites(control)) &&
    (await sessionCount(control, run.database)).since === run.gateCountedSince
  if (isCounting && (await writeCount(control, run.database)) === BigInt(writes)) return true
  const until = await currentSnapshot(control)
  const own = await ownTransactions(site.journal, snapshot.split(':')[0] ?? '0')
  return (await unexplainedXids(control, snapshot, until, own)).length === 0
}

/** Runs `work` on a session of ours in the database. A closed one lets sessions in for as long as connecting takes. */
export async function onClosedOrOpen<T>(step: Step, work: (session: Client) => Promise<T>): Promise<T> {
  if (await isOpen(step.control, step.run.database)) return step.onTarget(work)
  let isShut = false
  const shut = async (): Promise<void> => {
    if (!isShut) await allow(step, false)
    isShut = true
  }
  await allow(step, true)
  try {
    return await step.onTarget(async (session) => {
      await shut()
      return work(session)
    })
  } finally {
    await shut()
  }
}

/** Opens or closes the database in a transaction that the journal knows of: the proof that nothing changed can explain it then. */
async function allow(step: Step, allowed: boolean): Promise<void> {
  const { site, run, control, fence } = step
  if ((await isOpen(control, run.database)) === allowed) return
  await control.query('begin')
  try {
    const { rows } = await control.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
    if (await explains(step)) await recordTransaction(site.journal, rows[0]?.xid ?? '')
    await (allowed ? reopenDatabase : closeDatabase)(control, run.database, fence)
    await control.query('commit')
  } catch (error) {
    await control.query('rollback').catch(() => {})
    throw error
  }
}

/** Transaction ids are the cluster's: a journal elsewhere explains nothing here. */
const explains = async ({ site, run }: Step): Promise<boolean> =>
  (await systemIdentifierOf(site.journal)) === run.systemIdentifier
