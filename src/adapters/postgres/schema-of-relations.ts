import { FIRST_USER_OID, grants, hiddenOptions, qualified, type SchemaReader } from './schema-expressions.js'

const OPTIONS = (column: string): string =>
  `coalesce((select string_agg(o, ',' order by o collate "C") from unnest(${column}) o), '')`

/** Tables, views, sequences, their columns and everything that hangs on them. Those of extensions too, but for owner and grants. */
export const relationObjects = (_reader: SchemaReader): string[] => [
  RELATIONS,
  VIEWS,
  COLUMNS,
  CONSTRAINTS,
  INDEXES,
  SEQUENCES,
  TRIGGERS,
  DISABLED_CONSTRAINTS,
  RULES,
  POLICIES,
  STATISTICS,
]

const RELATIONS = `
select 'relation', ident, concat_ws('|', 'kind=' || relkind::text, 'persistence=' || relpersistence::text,
       case when not is_member then 'owner=' || pg_get_userbyid(relowner) end,
       'options=' || nullif(${OPTIONS('reloptions')}, ''),
       'toast=' || (select nullif(${OPTIONS('t.reloptions')}, '') from pg_class t where t.oid = rel.reltoastrelid),
       'row security=' || relrowsecurity || ',' || relforcerowsecurity, 'replica identity=' || relreplident::text,
       'method=' || (select amname from pg_am a where a.oid = relam),
       'tablespace=' || (select spcname from pg_tablespace s where s.oid = reltablespace),
       'of=' || nullif(reloftype, 0)::regtype, 'partitioned by=' || pg_get_partkeydef(oid),
       'bound=' || pg_get_expr(relpartbound, oid),
       'inherits=' || (select string_agg(inhparent::regclass::text || case when inhdetachpending then ' detaching' else '' end, ',' order by inhseqno) from pg_inherits i where i.inhrelid = rel.oid),
       'server=' || (select srvname || ' ' || ${hiddenOptions('ftoptions')} from pg_foreign_table f join pg_foreign_server s on s.oid = ftserver where ftrelid = rel.oid),
       case when relkind = 'm' then 'populated=' || relispopulated end,
       case when not is_member then 'grants=' || case relkind when 'S' then ${grants('relacl', 's', 'relowner')} else ${grants('relacl', 'r', 'relowner')} end end)
  from rel where relkind <> 'c'`

const VIEWS = `select 'view', ident, pg_get_viewdef(oid) from rel where relkind in ('v', 'm')`

/** Columns are numbered by rank: a dropped one leaves a hole that a dump does not carry. */
const COLUMNS = `
select 'column', format('%s.%I', ident, attname), concat_ws('|',
       row_number() over (partition by attrelid order by attnum), format_type(atttypid, atttypmod),
       case when attnotnull then 'not null' end, 'default=' || pg_get_expr(adbin, adrelid),
       'identity=' || nullif(attidentity, '')::text, 'generated=' || nullif(attgenerated, '')::text,
       'collation=' || nullif(nullif(attcollation, 0), typcollation)::regcollation,
       'storage=' || nullif(attstorage, typstorage)::text, 'compression=' || nullif(attcompression, '')::text,
       'statistics=' || nullif(attstattarget, -1), 'options=' || nullif(${OPTIONS('attoptions')}, ''),
       'foreign=' || nullif(${hiddenOptions('attfdwoptions')}, ''),
       case when not relispartition and (attinhcount > 0 or not attislocal) then 'inherited=' || attinhcount || ',' || attislocal end,
       'grants=' || (select string_agg(x::text, ',' order by x::text collate "C") from unnest(attacl) x))
  from rel join pg_attribute a on attrelid = rel.oid join pg_type t on t.oid = atttypid
  left join pg_attrdef d on d.adrelid = attrelid and d.adnum = attnum
 where attnum > 0 and not attisdropped and relkind <> 'S'`

/** From version 18 on NOT NULL has names here as well. */
const CONSTRAINTS = `
select 'constraint', format('%s.%I', coalesce(rel.ident, ${qualified('typnamespace', 'typname')}), conname),
       concat_ws('|', pg_get_constraintdef(k.oid), case when not convalidated then 'not valid' end,
                 case when contype in ('c', 'n') and not coalesce(relispartition, false) and (coninhcount > 0 or not conislocal) then 'inherited=' || coninhcount || ',' || conislocal end)
  from pg_constraint k left join rel on rel.oid = conrelid left join pg_type t on t.oid = contypid
 where (rel.oid is not null or (t.oid >= ${FIRST_USER_OID} and not exists (select from ext where ext.classid = 'pg_type'::regclass and ext.objid = t.oid)))`

const INDEXES = `
select 'index', i.indexrelid::regclass::text, concat_ws('|', pg_get_indexdef(i.indexrelid),
       case when not (indisvalid and indisready and indislive) then 'invalid' end,
       case when indisclustered then 'clustered' end, case when indisreplident then 'replica identity' end,
       'tablespace=' || (select spcname from pg_tablespace s where s.oid = c.reltablespace),
       'part of=' || (select string_agg(inhparent::regclass::text, ',') from pg_inherits h where h.inhrelid = i.indexrelid),
       'statistics=' || (select string_agg(attnum || ':' || attstattarget, ',' order by attnum) from pg_attribute a where attrelid = i.indexrelid and attstattarget >= 0))
  from pg_index i join rel on rel.oid = i.indrelid join pg_class c on c.oid = i.indexrelid`

const SEQUENCES = `
select 'sequence', ident, concat_ws('|', seqtypid::regtype, 'start=' || seqstart, 'increment=' || seqincrement,
       'min=' || seqmin, 'max=' || seqmax, 'cache=' || seqcache, case when seqcycle then 'cycle' end,
       'owned by=' || (select format('%s.%I', d.refobjid::regclass, attname) from pg_depend d join pg_attribute a on attrelid = refobjid and attnum = refobjsubid
                        where d.classid = 'pg_class'::regclass and d.objid = rel.oid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') limit 1))
  from pg_sequence join rel on rel.oid = seqrelid`

const TRIGGERS = `
select 'trigger', format('%s.%I', ident, tgname), concat_ws('|', pg_get_triggerdef(t.oid), 'enabled=' || tgenabled::text)
  from pg_trigger t join rel on rel.oid = tgrelid where not tgisinternal`

/** \`disable trigger all\` switches foreign keys off by their internal triggers, whose names hold oids. */
const DISABLED_CONSTRAINTS = `
select 'constraint trigger', format('%s.%I %s', ident, conname, tgfoid::regproc), 'enabled=' || tgenabled::text
  from pg_trigger t join rel on rel.oid = tgrelid join pg_constraint k on k.oid = tgconstraint
 where tgisinternal and tgenabled <> 'O'`

const RULES = `
select 'rule', format('%s.%I', ident, rulename), concat_ws('|', pg_get_ruledef(r.oid), 'enabled=' || ev_enabled::text)
  from pg_rewrite r join rel on rel.oid = ev_class where rulename <> '_RETURN'`

const POLICIES = `
select 'policy', format('%s.%I', ident, polname), concat_ws('|', 'for=' || polcmd::text, case when not polpermissive then 'restrictive' end,
       'to=' || (select string_agg(case r when 0 then 'public' else pg_get_userbyid(r) end, ',' order by case r when 0 then 'public' else pg_get_userbyid(r) end collate "C") from unnest(polroles) r),
       'using=' || pg_get_expr(polqual, polrelid), 'check=' || pg_get_expr(polwithcheck, polrelid))
  from pg_policy join rel on rel.oid = polrelid`

const STATISTICS = `
select 'statistics', ${qualified('stxnamespace', 'stxname')}, concat_ws('|', pg_get_statisticsobjdef(x.oid), 'owner=' || pg_get_userbyid(stxowner), 'target=' || nullif(stxstattarget, -1))
  from pg_statistic_ext x where x.oid >= ${FIRST_USER_OID}`
