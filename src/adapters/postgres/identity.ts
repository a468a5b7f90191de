import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'

/** Which database this is, what the session may do there, and what would stand in the way of a clone or a swap. */
export interface DatabaseIdentity {
  systemIdentifier: string
  database: string
  oid: string
  /** `150018`. */
  serverVersionNum: number
  /** `15.18 (Debian 15.18-0+deb12u1)`. */
  serverVersion: string
  isStandby: boolean
  sizeBytes: string
  user: string
  isSuperuser: boolean
  canCreateDatabase: boolean
  /** The owner itself or a member of it. */
  ownsDatabase: boolean
  /** Whether it sees of every session who it is: of what it does not see it cannot tell that it is not there. */
  seesSessions: boolean
  /** Whether it may end other roles' sessions, superusers' apart. */
  endsSessions: boolean
  /** Roles that have settings of their own in this database, which it may not give them in another one; superusers last. */
  rolesNotSettable: { role: string; isSuperuser: boolean }[]
  /** Settings of this database, or of a role in it, that it may not give to another one: a superuser's. */
  settingsNotSettable: string[]
  /** Names of logical replication slots of this database: they follow the oid, not the name. */
  logicalSlots: string[]
  subscriptions: string[]
  /** What writes in this database without a session: background workers of extensions (a scheduler of jobs). */
  backgroundWorkers: string[]
}

/** From here on a right to set a parameter can be granted. */
export const GRANTS_PARAMETERS = 150_000
/** From here on CREATEROLE alone does not change any role. */
export const SETS_BY_ADMIN_OPTION = 160_000

const IDENTITY = `
select system_identifier::text as "systemIdentifier",
       datname as "database",
       d.oid::text as "oid",
       current_setting('server_version_num')::int as "serverVersionNum",
       current_setting('server_version') as "serverVersion",
       pg_is_in_recovery() as "isStandby",
       pg_database_size(d.oid)::text as "sizeBytes",
       current_user::text as "user",
       rolsuper as "isSuperuser",
       rolcreatedb or rolsuper as "canCreateDatabase",
       pg_has_role(current_user, datdba, 'usage') as "ownsDatabase",
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as "seesSessions",
       pg_has_role(current_user, 'pg_signal_backend', 'usage') as "endsSessions",
       coalesce((select json_agg(json_build_object('role', other.rolname, 'isSuperuser', other.rolsuper) order by other.rolsuper, other.rolname)
                   from pg_db_role_setting s join pg_roles other on other.oid = s.setrole
                  where s.setdatabase = d.oid and other.rolname <> current_user and not r.rolsuper
                    and (not r.rolcreaterole or other.rolsuper
                      or current_setting('server_version_num')::int >= ${SETS_BY_ADMIN_OPTION}
                        and not pg_has_role(current_user, other.oid, 'member with admin option'))), '[]') as "rolesNotSettable",
       array(select slot_name::text from pg_replication_slots s where s.database = datname order by 1) as "logicalSlots",
       array(select subname::text from pg_subscription where subdbid = d.oid order by 1) as "subscriptions",
       array(select distinct backend_type from pg_stat_activity
              where datid = d.oid and backend_type is not null and backend_type <> all ($1) order by 1) as "backgroundWorkers"
  from pg_database d, pg_control_system(), pg_roles r
 where datname = current_database() and r.rolname = current_user`

/** PostgreSQL's own processes in a database: none of them changes a row by itself but the apply workers of `subscriptions`. */
const OWN_PROCESSES = [
  'client backend',
  'parallel worker',
  'autovacuum worker',
  'walsender',
  'slotsync worker',
  'logical replication worker',
  'logical replication launcher',
  'logical replication apply worker',
  'logical replication parallel worker',
  'logical replication tablesync worker',
]

/** Reads the identity of the session's own database. Needs no rights beyond connecting. */
export async function readIdentity(session: Client): Promise<DatabaseIdentity> {
  const { rows } = await session.query<Omit<DatabaseIdentity, 'settingsNotSettable'>>(IDENTITY, [OWN_PROCESSES])
  if (!rows[0]) throw failure('StateUnexpected', "the session's own database is not in pg_database")
  return { ...rows[0], settingsNotSettable: await settingsNotSettable(session, rows[0]) }
}

const SETTINGS = `
select distinct p.name from pg_database d join pg_db_role_setting s on s.setdatabase = d.oid, unnest(s.setconfig) c
  join pg_settings p on lower(p.name) = lower(split_part(c, '=', 1))
 where d.datname = current_database() and p.context like 'superuser%'`

async function settingsNotSettable(
  session: Client,
  { isSuperuser, serverVersionNum }: Pick<DatabaseIdentity, 'isSuperuser' | 'serverVersionNum'>,
): Promise<string[]> {
  if (isSuperuser) return []
  const granted = serverVersionNum < GRANTS_PARAMETERS ? '' : ` and not has_parameter_privilege(p.name, 'set')`
  const { rows } = await session.query<{ name: string }>(`${SETTINGS}${granted} order by 1`)
  return rows.map(({ name }) => name)
}
