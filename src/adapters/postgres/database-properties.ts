import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { quoteIdentifier, quoteLiteral } from './session.js'

/**
 * What a clone and a dump without `-C` lose, as statements: owner, limit, template flag, comment, labels, ACL, settings.
 * Grants by someone else than the owner are made in that role's name.
 */
const PROPERTIES = `
with db as (select * from pg_database where datname = $1),
list_settings(name) as (values ('search_path'), ('temp_tablespaces'), ('local_preload_libraries'), ('session_preload_libraries')),
settings as (
  select s.setrole, u.ord, split_part(u.c, '=', 1) as name, substr(u.c, strpos(u.c, '=') + 1) as value
    from pg_db_role_setting s join db on s.setdatabase = db.oid, unnest(s.setconfig) with ordinality u(c, ord)),
acl as (
  select a.*, datdba from db, aclexplode(coalesce(datacl, acldefault('d', datdba))) with ordinality
         a(grantor, grantee, privilege, grantable, ord))
select sql as "sql", name as "name", value as "value" from (
  select 1 as part, 0::bigint as a, 0::bigint as b, format('alter database :new owner to %I', pg_get_userbyid(datdba)) as sql, null as name, null as value from db
  union all
  select 2, 0, 0, format('alter database :new connection limit %s', datconnlimit), null, null from db
  union all
  select 3, 0, 0, 'alter database :new is_template true', null, null from db where datistemplate
  union all
  select 4, 0, 0, format('comment on database :new is %L', shobj_description(oid, 'pg_database')), null, null from db
  union all
  select 5, 0, 0, format('security label for %I on database :new is %L', provider, label), null, null
    from pg_shseclabel join db on objoid = db.oid and classoid = 'pg_database'::regclass
  union all
  select 6, 0, 0, 'revoke all on database :new from public', null, null from db
  union all
  select 6, 1, 0, format('revoke all on database :new from %I', pg_get_userbyid(datdba)), null, null from db
  union all
  select 7, ord, step, case step
           when 1 then format('set local role %I', pg_get_userbyid(grantor))
           when 2 then format('grant %s on database :new to %s%s', privilege,
                  case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
                  case when grantable then ' with grant option' else '' end)
           else 'reset role' end, null, null
    from acl, generate_series(1, 3) step where step = 2 or grantor <> datdba
  union all
  select 8, setrole::bigint, ord,
         format('alter %s set %s to ', case setrole when 0 then 'database :new' else format('role %I in database :new', pg_get_userbyid(setrole)) end,
                (select string_agg(quote_ident(p), '.' order by i) from unnest(string_to_array(settings.name, '.')) with ordinality t(p, i))),
         settings.name, settings.value from settings
) statements order by part, a, b`

/** Takes away every setting, grant and flag, before they are given: a second application must end like the first. */
const RESET = `
with db as (select * from pg_database where datname = $1)
select sql from (
  select 1 as part, 'alter database :new is_template false' as sql from db where datistemplate
  union all
  select 2, 'alter database :new reset all' from db
  union all
  select distinct 3, format('alter role %I in database :new reset all', pg_get_userbyid(setrole))
    from pg_db_role_setting s join db on s.setdatabase = db.oid where setrole <> 0
  union all
  select distinct 4, format('revoke all on database :new from %I cascade', pg_get_userbyid(grantee))
    from db, aclexplode(datacl) where grantee <> 0
) statements order by part`

/** Settings whose value is a list of quoted names: one literal would become one name. Bare names fold to lower case in the first two. */
const LISTS = new Map([
  ['search_path', true],
  ['temp_tablespaces', true],
  ['local_preload_libraries', false],
  ['session_preload_libraries', false],
])

interface PropertyRow {
  sql: string
  name: string | null
  value: string | null
}

/**
 * Statements that give another database the database-level properties of `database`; `:new` stands for its quoted name.
 * Taken with the backup: the migration may change them. Throws `StateUnexpected` when there is no such database.
 */
export async function propertyStatements(control: Client, database: string): Promise<string[]> {
  const { rows } = await control.query<PropertyRow>(PROPERTIES, [database])
  if (rows.length <= 1) throw failure('StateUnexpected', `there is no database ${database}`)
  return rows.map(({ sql, name, value }) =>
    name === null || value === null ? sql : sql + settingValue(name.toLowerCase(), value),
  )
}

/** Makes the database's properties exactly those of `statements`, in one transaction. Twice is once. */
export async function applyProperties(
  control: Client,
  statements: readonly string[],
  database: string,
  fence: Fence,
): Promise<void> {
  await control.query('begin')
  try {
    for (const sql of await exactProperties(control, statements, database, database)) {
      await fence.check()
      await control.query(sql)
    }
    await control.query('commit')
  } catch (error) {
    await control.query('rollback').catch(() => {})
    throw error
  }
}

/** Statements, for inside a transaction, that take away what the database `from` has and give `statements` to it under the name `to`. */
export async function exactProperties(
  control: Client,
  statements: readonly string[],
  from: string,
  to: string,
): Promise<string[]> {
  const { rows } = await control.query<{ sql: string }>(RESET, [from])
  return [...rows.map(({ sql }) => sql), ...statements].map((sql) => forDatabase(sql, to))
}

/** Puts the name in for `:new`, except inside quoted names and texts: a role may be called anything. */
export const forDatabase = (sql: string, database: string): string =>
  sql.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|:new\b/g, (part) => (part === ':new' ? quoteIdentifier(database) : part))

function settingValue(name: string, value: string): string {
  const folds = LISTS.get(name)
  if (folds === undefined) return quoteLiteral(value).trim()
  const names = [...value.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^\s,"][^\s,]*))\s*(?:,|$)/g)].map(
    ([, quoted, bare = '']) =>
      quoted === undefined ? (folds ? bare.toLowerCase() : bare) : quoted.replaceAll('""', '"'),
  )
  return (names.length === 0 ? [''] : names).map((part) => quoteLiteral(part).trim()).join(', ')
}
