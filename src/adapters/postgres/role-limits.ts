import type { Client } from 'pg'
import type { Fence } from '../../domain/fence.js'
import { SETS_BY_ADMIN_OPTION } from './identity.js'
import { quoteIdentifier } from './session.js'

/** A role as one logs in as it. */
export interface LoginRole {
  role: string
  /** How many sessions it may have in the whole cluster at a time; -1: any number. */
  limit: number
  /** One that only has members is nobody to log in as. */
  logsIn: boolean
  /** No limit holds for a superuser. */
  isSuperuser: boolean
  /** Whether the session's own role may change it. */
  isOurs: boolean
}

/** Those of `names` that there are. */
export async function loginRoles(session: Client, names: readonly string[]): Promise<LoginRole[]> {
  const { rows } = await session.query<LoginRole>(
    `select other.rolname as role, other.rolconnlimit as "limit", other.rolsuper as "isSuperuser", other.rolcanlogin as "logsIn",
            own.rolsuper or own.rolcreaterole and not other.rolsuper
              and (current_setting('server_version_num')::int < ${SETS_BY_ADMIN_OPTION}
                or pg_has_role(current_user, other.oid, 'member with admin option')) as "isOurs"
       from pg_roles other, pg_roles own where other.rolname = any ($1) and own.rolname = current_user order by 1`,
    [names],
  )
  return rows
}

/** How many sessions it may have from now on; those that it has stay. Twice is once. */
export async function limitSessions(control: Client, role: string, limit: number, fence: Fence): Promise<void> {
  await fence.check()
  await control.query(`alter role ${quoteIdentifier(role)} connection limit ${Math.trunc(limit)}`)
}
