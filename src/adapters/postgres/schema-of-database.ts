import {
  FIRST_USER_OID,
  grants,
  hiddenOptions,
  ownObject,
  type SchemaReader,
  UNREADABLE,
} from './schema-expressions.js'

const owned = (column: string): string => `'owner=' || pg_get_userbyid(${column})`
const sortedGrants = (column: string): string =>
  `coalesce((select string_agg(x::text, ',' order by x::text collate "C") from unnest(${column}) x), '')`
/** Eight hex digits of a secret: enough to see a change. */
const hidden = (text: string): string => `left(encode(sha256(convert_to(${text}, 'UTF8')), 'hex'), 8)`

/** The database itself and what stands beside its tables: schemas, extensions, publications, foreign servers, comments. */
export const databaseObjects = (reader: SchemaReader): string[] => [
  DATABASE,
  SETTINGS,
  SCHEMAS,
  EXTENSIONS,
  OWNERS_OF_MEMBERS,
  GRANTS_BEYOND,
  DEFAULT_GRANTS,
  ...publications(reader),
  ...subscriptions(reader),
  ...FOREIGN,
  userMappingSecrets(reader),
  LARGE_OBJECTS,
  COMMENTS,
  LABELS,
]

const DATABASE = `
select 'database', 'self', concat_ws('|', ${owned('datdba')}, 'limit=' || datconnlimit, 'encoding=' || pg_encoding_to_char(encoding),
       'collate=' || datcollate, 'ctype=' || datctype, 'provider=' || (to_jsonb(d) ->> 'datlocprovider'), 'locale=' || coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
       'rules=' || (to_jsonb(d) ->> 'daticurules'), case when datistemplate then 'template' end,
       'tablespace=' || (select spcname from pg_tablespace s where s.oid = dattablespace), 'comment=' || shobj_description(oid, 'pg_database'),
       (select string_agg('label ' || provider || '=' || label, '|' order by provider) from pg_shseclabel where objoid = d.oid and classoid = 'pg_database'::regclass),
       'grants=' || ${grants('datacl', 'd', 'datdba')})
  from pg_database d where datname = current_database()`

const SETTINGS = `
select 'database setting', format('%s %s', case setrole when 0 then '*' else pg_get_userbyid(setrole) end, split_part(c, '=', 1)), substr(c, strpos(c, '=') + 1)
  from pg_db_role_setting, unnest(setconfig) c where setdatabase = (select oid from pg_database where datname = current_database())`

const SCHEMAS = `
select 'schema', quote_ident(nspname), concat_ws('|', ${owned('nspowner')}, 'grants=' || ${grants('nspacl', 'n', 'nspowner')})
  from pg_namespace n where nspname !~ '^pg_' and nspname <> 'information_schema' and not exists (select from ext where ext.classid = 'pg_namespace'::regclass and ext.objid = n.oid)`

const EXTENSIONS = `
select 'extension', extname::text, concat_ws('|', extversion, extnamespace::regnamespace,
       'tables=' || (select string_agg(format('%s %s', x.rel::regclass, x.condition), ',' order by x.ord) from unnest(extconfig, extcondition) with ordinality x(rel, condition, ord)))
  from pg_extension
union all
select 'owner of extension', extname::text, ${owned('extowner')} from pg_extension where oid >= ${FIRST_USER_OID}`

/** Given by whoever runs \`create extension\`: a dump does not carry it. */
const OWNERS_OF_MEMBERS = `select 'owner of extension', 'relation ' || ident, ${owned('relowner')} from rel where is_member`

/** Grants on what the system or an extension made, where they are not as they were made. What initdb gives on information_schema it does not note. */
const GRANTS_BEYOND = `
select 'grant', (i).type || ' ' || (i).identity, grants from (
  select pg_identify_object(o.class, o.oid, o.sub) as i,
         coalesce((select string_agg(concat(case a.grantee when 0 then '' when o.owner then '@owner' else pg_get_userbyid(a.grantee)::text end, '=', a.privilege_type,
                   case when a.is_grantable then '*' end, case when a.grantor <> o.owner then '/' || pg_get_userbyid(a.grantor) end), ',' order by a.grantee = o.owner, pg_get_userbyid(a.grantee)::text collate "C", a.privilege_type) from aclexplode(o.acl) a), '') as grants
    from (
      select 'pg_class'::regclass as class, oid, 0 as sub, relacl as acl, relowner as owner, relnamespace::oid as space from pg_class where relacl is not null
      union all select 'pg_class'::regclass, attrelid, attnum, attacl, relowner, relnamespace from pg_attribute join pg_class c on c.oid = attrelid where attacl is not null
      union all select 'pg_proc'::regclass, oid, 0, proacl, proowner, pronamespace from pg_proc where proacl is not null
      union all select 'pg_type'::regclass, oid, 0, typacl, typowner, typnamespace from pg_type where typacl is not null
      union all select 'pg_namespace'::regclass, oid, 0, nspacl, nspowner, oid from pg_namespace where nspacl is not null and nspname !~ '^pg_(temp|toast)' and nspname <> 'public'
      union all select 'pg_language'::regclass, oid, 0, lanacl, lanowner, null from pg_language where lanacl is not null
      union all select 'pg_foreign_data_wrapper'::regclass, oid, 0, fdwacl, fdwowner, null from pg_foreign_data_wrapper where fdwacl is not null
      union all select 'pg_foreign_server'::regclass, oid, 0, srvacl, srvowner, null from pg_foreign_server where srvacl is not null
    ) o(class, oid, sub, acl, owner, space)
    left join pg_init_privs p on p.classoid = o.class and p.objoid = o.oid and p.objsubid = o.sub
   where o.space is distinct from 'information_schema'::regnamespace and (o.oid < ${FIRST_USER_OID} or exists (select from ext where ext.classid = o.class and ext.objid = o.oid))
     and ${sortedGrants('o.acl')} <> ${sortedGrants('p.initprivs')}
) beyond`

const DEFAULT_GRANTS = `
select 'default grants', concat_ws(' ', pg_get_userbyid(defaclrole), nullif(defaclnamespace, 0)::regnamespace, defaclobjtype::text), ${sortedGrants('defaclacl')} from pg_default_acl`

/** Columns and row filters of a publication's tables exist from version 15 on. */
function publications({ version }: SchemaReader): string[] {
  const details =
    version < 150_000
      ? `''`
      : `concat_ws('|', 'columns=' || (select string_agg(attname, ',' order by attnum) from pg_attribute where attrelid = prrelid and attnum = any(prattrs)), 'where=' || pg_get_expr(prqual, prrelid))`
  const schemas = `select 'publication schema', format('%I %s', pubname, pnnspid::regnamespace), '' from pg_publication_namespace n join pg_publication p on p.oid = pnpubid`
  return [
    `select 'publication', pubname::text, concat_ws('|', ${owned('pubowner')}, (to_jsonb(p) - array['oid', 'pubname', 'pubowner'])::text) from pg_publication p`,
    `select 'publication table', format('%I %s', pubname, prrelid::regclass), ${details} from pg_publication_rel r join pg_publication p on p.oid = prpubid`,
    ...(version < 150_000 ? [] : [schemas]),
  ]
}

function subscriptions({ isSuperuser }: SchemaReader): string[] {
  const here = 'where subdbid = (select oid from pg_database where datname = current_database())'
  const secret = isSuperuser ? hidden('subconninfo') : `'${UNREADABLE}'`
  return [
    `select 'subscription', subname::text, concat_ws('|', ${owned('subowner')}, subenabled, subbinary, substream, 'slot=' || subslotname, array_to_string(subpublications, ',')) from pg_subscription ${here}`,
    `select 'secret', 'subscription ' || subname, ${secret} from pg_subscription ${here}`,
  ]
}

const FOREIGN = [
  `
select 'foreign data wrapper', fdwname::text, concat_ws('|', 'handler=' || nullif(fdwhandler, 0)::regprocedure, 'validator=' || nullif(fdwvalidator, 0)::regprocedure, ${hiddenOptions('fdwoptions')}, ${owned('fdwowner')}, 'grants=' || ${grants('fdwacl', 'F', 'fdwowner')})
  from pg_foreign_data_wrapper f where ${ownObject('pg_foreign_data_wrapper', 'f.oid')}`,
  `
select 'foreign server', srvname::text, concat_ws('|', fdwname, 'type=' || srvtype, 'version=' || srvversion, ${hiddenOptions('srvoptions')}, ${owned('srvowner')}, 'grants=' || ${grants('srvacl', 'S', 'srvowner')})
  from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = srvfdw where ${ownObject('pg_foreign_server', 's.oid')}`,
  `select 'user mapping', format('%I on %I', usename, srvname), '' from pg_user_mappings`,
]

/** The view hides the options from who may not see them. */
const userMappingSecrets = ({ isSuperuser }: SchemaReader): string => `
select 'secret', format('user mapping %I on %I', usename, srvname),
       case when umoptions is null and not ${isSuperuser} then '${UNREADABLE}' else ${hiddenOptions('umoptions')} end from pg_user_mappings`

const LARGE_OBJECTS = `
select 'large object', oid::text, concat_ws('|', ${owned('lomowner')}, 'grants=' || ${grants('lomacl', 'L', 'lomowner')}) from pg_largeobject_metadata`

const COMMENTS = `
select 'comment', (i).type || ' ' || (i).identity, description from (
  select pg_identify_object(classoid, objoid, objsubid) as i, description from pg_description d
   where (objoid >= ${FIRST_USER_OID} or objoid = 'public'::regnamespace and classoid = 'pg_namespace'::regclass)
     and not exists (select from ext where ext.classid = d.classoid and ext.objid = d.objoid)
) described`

const LABELS = `
select 'security label', (i).type || ' ' || (i).identity || ' ' || provider, label
  from (select pg_identify_object(classoid, objoid, objsubid) as i, provider, label from pg_seclabel) labelled`
