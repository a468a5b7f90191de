import type { Client } from 'pg'
import { readIdentity } from '../adapters/postgres/identity.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { databaseOid } from '../adapters/postgres/swap.js'
import { failure } from '../domain/failures.js'
import { NO_DATABASE, type Plan } from '../domain/plan.js'
import { requireTag, wouldNotFollow } from './make-plan.js'
import type { Site } from './site.js'

const LOOKING = 'headgate plan'

/**
 * The plan of a fresh database. Throws `GuardFailed` where there is one with tables already and `drop` was not said, where
 * the environment is protected and it was, and where somebody is connected; `RightsMissing`.
 */
export async function initPlan(site: Site, tag: string | undefined, drop: boolean): Promise<Plan> {
  const { configuration, migrator, control } = site
  requireTag(site, tag)
  if (drop && configuration.protected)
    throw failure('GuardFailed', `${configuration.environment} is protected: its database is not dropped`)
  const { database } = control
  if (site.target.database !== database)
    throw failure('DatabaseWrong', 'url and urls.control are not the same database')
  const image = await migrator.image?.(tag ?? '', 'newest')
  const migrations = await migrator.migrations(tag ?? '')
  const cluster = await withSession(
    withDatabase(control, 'postgres'),
    { applicationName: LOOKING, readOnly: true },
    (session) => readCluster(session, database),
  )
  if (cluster.isStandby) throw failure('DatabaseWrong', 'this is a standby: nothing can be made there')
  if (!cluster.canCreate)
    throw failure(
      'RightsMissing',
      `role ${cluster.user} may not create databases (alter role ${cluster.user} createdb)`,
    )
  const here = cluster.oid === undefined ? undefined : await lookAt(site)
  const contents = here?.contents ?? 0
  if (contents > 0 && !drop)
    throw failure(
      'GuardFailed',
      `database ${database} has ${contents} ${contents === 1 ? 'object' : 'objects'} of people: it is not fresh`,
      undefined,
      {
        hint: configuration.protected
          ? 'deploy the release: what is pending is applied'
          : 'deploy the release, or say --drop, which drops the database with everything in it',
      },
    )
  const [inTheWay] = here?.inTheWay ?? []
  if (inTheWay !== undefined) throw failure('GuardFailed', `database ${database} cannot be replaced: ${inTheWay}`)
  if (cluster.others.length > 0)
    throw failure('GuardFailed', `somebody is in database ${database}: ${cluster.others.join(', ')}`, undefined, {
      hint: 'stop what is connected, then start it again',
    })
  return {
    format: 1,
    project: configuration.project,
    environment: configuration.environment,
    kind: 'init-db',
    ...(tag === undefined ? {} : { tag }),
    bound: { systemIdentifier: cluster.systemIdentifier, database, oid: cluster.oid ?? NO_DATABASE },
    applied: [],
    stages: [],
    services: [],
    ...(image === undefined ? {} : { migratorImage: image }),
    consumers: [],
    quiesces: [],
    backups: [],
    creates: {
      instead: cluster.oid === undefined ? 'nothing' : contents === 0 ? 'empty' : 'old',
      by: configuration.migrator.init ? 'init' : 'migrations',
      migrations: migrations.map(({ version, checksum }) => ({ version, checksum })),
    },
    remarks: [],
    approvers: { from: [], count: 0, timeoutMs: 0, verified: false, requesterMayApprove: true },
    protected: configuration.protected,
  }
}

interface Cluster {
  systemIdentifier: string
  isStandby: boolean
  user: string
  canCreate: boolean
  /** Of the database, where there is one of its name. */
  oid: string | undefined
  /** Who is connected to it. */
  others: string[]
}

async function readCluster(session: Client, database: string): Promise<Cluster> {
  const { rows } = await session.query<Omit<Cluster, 'oid' | 'others'>>(
    `select system_identifier::text as "systemIdentifier", pg_is_in_recovery() as "isStandby", current_user::text as "user",
            rolcreatedb or rolsuper as "canCreate" from pg_control_system(), pg_roles where rolname = current_user`,
  )
  const [found] = rows
  if (!found) throw failure('StateUnexpected', 'the server does not say which cluster it is')
  const others = await session.query<{ who: string }>(
    `select format('pid %s (%s, %s)', pid, usename, coalesce(nullif(application_name, ''), 'unnamed')) as who
       from pg_stat_activity where datname = $1 and usename is not null and coalesce(backend_type, 'client backend') = 'client backend' order by pid limit 5`,
    [database],
  )
  return { ...found, oid: await databaseOid(session, database), others: others.rows.map(({ who }) => who) }
}

/** What is in the database that is there, and why it cannot be replaced. */
const lookAt = (site: Site): Promise<{ contents: number; inTheWay: string[] }> =>
  withSession(site.control, { applicationName: LOOKING, readOnly: true }, async (session) => {
    const identity = await readIdentity(session)
    const isOwn = identity.isSuperuser || identity.ownsDatabase
    const inTheWay = [...(isOwn ? [] : [`role ${identity.user} does not own it`]), ...wouldNotFollow(identity)]
    return { contents: await contentsOf(session), inTheWay }
  })

/** What people made in it, and not an extension: relations, functions and large objects. */
export async function contentsOf(session: Client): Promise<number> {
  const { rows } = await session.query<{ count: number }>(
    `select ((select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where relkind in ('r', 'p', 'f', 'v', 'm', 'S') and nspname !~ '^pg_' and nspname <> 'information_schema'
                 and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'e'))
           + (select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
               where nspname !~ '^pg_' and nspname <> 'information_schema'
                 and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e'))
           + (select count(*) from pg_largeobject_metadata))::int as count`,
  )
  return rows[0]?.count ?? 0
}
