import { limitSessions, loginRoles } from '../adapters/postgres/role-limits.js'
import { failure } from '../domain/failures.js'
import type { Step } from './changing.js'
import { lookInto } from './look-into.js'
import type { Site } from './site.js'
import { recordStateBefore, statesBefore } from './states-before.js'

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
  const own = new Set([site.target, site.control, site.reader, site.verifier].map(({ user }) => user))
  const [first] = names.flatMap((name) => {
    const role = found.find((one) => one.role === name)
    if (!role) return [`there is no role ${name}`]
    if (own.has(name)) return [`role ${name} is one that Headgate itself logs in as: applications need their own`]
    if (role.isSuperuser) return [`role ${name} is a superuser, whom nothing keeps out`]
    if (!role.isOurs)
      return [
        `role ${site.control.user} may not change role ${name} (alter role ${site.control.user} createrole; from PostgreSQL 16 on also grant ${name} to ${site.control.user} with admin option)`,
      ]
    return []
  })
  return first
}

/** Nobody can log in as the plan's roles any more; sessions that are inside are ended with all others. Twice is once. */
export async function blockRoles(step: Step): Promise<void> {
  const { plan, control, fence } = step
  const names = plan.blocks ?? []
  const found = await loginRoles(control, names)
  const missing = names.filter((name) => !found.some(({ role }) => role === name))
  if (missing.length > 0) throw failure('PlanStale', `there is no role ${missing.join(', ')} any more`)
  for (const { role, limit } of found) {
    await recordStateBefore(step, 'role', role, { state: String(limit) })
    if (limit !== BLOCKED) await limitSessions(control, role, BLOCKED, fence)
  }
}

/** As many as before the stage may log in; what somebody has changed since stays. Twice is once. */
export async function unblockRoles(step: Step): Promise<void> {
  const { control, fence } = step
  const before = await statesBefore(step, 'role')
  for (const { role, limit } of await loginRoles(control, [...before.keys()])) {
    const was = Number(before.get(role))
    if (limit === BLOCKED && was !== BLOCKED) await limitSessions(control, role, was, fence)
  }
}
