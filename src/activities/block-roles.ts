import type { Journal } from '../adapters/journal/journal.js'
import { limitSessions, loginRoles } from '../adapters/postgres/role-limits.js'
import { failure } from '../domain/failures.js'
import type { Step } from './changing.js'
import { each } from './each.js'
import { lookInto } from './look-into.js'
import type { Site } from './site.js'
import { recordStateBefore, replaceStateBefore, statesBefore } from './states-before.js'

/** Nobody logs in as it. */
const BLOCKED = 0

/** The roles that are blocked here to close the gate; none where services are stopped instead. */
export const blockedRoles = ({ configuration: { quiesce } }: Pick<Site, 'configuration'>): string[] =>
  typeof quiesce === 'object' ? quiesce.roles : []

/** Why that cannot be done; undefined where it can. */
export async function whyNoBlock(site: Site): Promise<string | undefined> {
  const names = blockedRoles(site)
  if (names.length === 0) return undefined
  const found = await lookInto(site, site.control, 'headgate plan', (session) => loginRoles(session, names))
  const { target, control, reader, verifier, journal } = site
  const own = new Set([target, control, reader, verifier, journal.target].map(({ user }) => user))
  const [first] = names.flatMap((name) => {
    const role = found.find((one) => one.role === name)
    if (!role) return [`there is no role ${name}`]
    if (own.has(name)) return [`role ${name} is one that Headgate itself logs in as: applications need their own`]
    if (!role.logsIn) return [`nobody logs in as role ${name}: name the roles that are members of it`]
    if (role.isSuperuser) return [`role ${name} is a superuser, whom nothing keeps out`]
    if (!role.isOurs)
      return [
        `role ${site.control.user} may not change role ${name} (alter role ${site.control.user} createrole; from PostgreSQL 16 on also grant ${name} to ${site.control.user} with admin option)`,
      ]
    return []
  })
  return first
}

/**
 * Nobody can log in as the plan's roles any more; sessions that are inside are ended with all others. Twice is once. Throws `PlanStale`
 * for one that is gone, and `GuardFailed` for one that another run has blocked: it would let them in here too.
 */
export async function blockRoles(step: Step): Promise<void> {
  const { site, run, plan, control, fence } = step
  const names = plan.blocks ?? []
  const found = await loginRoles(control, names)
  const missing = names.filter((name) => !found.some(({ role }) => role === name))
  if (missing.length > 0) throw failure('PlanStale', `there is no role ${missing.join(', ')} any more`)
  const known = await statesBefore(step, 'role')
  for (const { role, limit } of found) {
    const other = limit === BLOCKED && !known.has(role) ? await blockedByOther(site.journal, run.name, role) : undefined
    if (other !== undefined)
      throw failure('GuardFailed', `run ${other} has blocked role ${role}: one at a time, they share a cluster`)
    // Since an earlier attempt somebody else has set it: that is what it comes back to.
    if (limit !== BLOCKED && known.has(role)) await replaceStateBefore(step, 'role', role, { state: String(limit) })
    else await recordStateBefore(step, 'role', role, { state: String(limit) })
    if (limit !== BLOCKED) await limitSessions(control, role, BLOCKED, fence)
  }
}

async function blockedByOther(journal: Journal, run: string, role: string): Promise<string | undefined> {
  const rows = await journal.read<{ name: string }>(
    `select r.name from prior_states p join runs r on r.name = p.run
      where p.kind = 'role' and r.state = 'open' and r.name <> $1 and substr(p.name, strpos(p.name, '/') + 1) = $2
        and p.state ->> 'state' <> '0'`,
    [run, role],
  )
  return rows[0]?.name
}

/**
 * As many as before the stage may log in; what somebody has changed since stays. Returns who may log in again. Twice is once. One
 * that may not be changed any more keeps no other out.
 */
export async function unblockRoles(step: Step): Promise<string[]> {
  const { control, fence } = step
  const before = await statesBefore(step, 'role')
  const kept = (await loginRoles(control, [...before.keys()])).filter(
    ({ role }) => Number(before.get(role)) !== BLOCKED,
  )
  const { failed } = await each(kept, fence.signal, async ({ role, limit }) => {
    if (limit === BLOCKED) await limitSessions(control, role, Number(before.get(role)), fence)
  })
  // What the server said of the first: what passes by itself is tried again.
  if (failed.length > 0) throw failed[0]
  return kept.map(({ role }) => role)
}
