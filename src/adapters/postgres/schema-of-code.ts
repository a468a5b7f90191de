import { FIRST_USER_OID, grants, ownObject, qualified, type SchemaReader } from './schema-expressions.js'

const owned = (column: string): string => `'owner=' || pg_get_userbyid(${column})`
/** What an object is called, by the server's own rule, for kinds without a plain name. */
const identity = (classId: string, oid: string): string =>
  `(pg_identify_object('${classId}'::regclass, ${oid}, 0)).identity`
/** All columns of a catalog row but those that hold oids or what its identity says; functions show by name. */
const columnsBut = (row: string, ...names: string[]): string =>
  `(to_jsonb(${row}) - array['oid', ${names.map((n) => `'${n}'`).join(', ')}])::text`

/** Functions, types, operators, text search, languages: what users add to the language. */
export const codeObjects = (_reader: SchemaReader): string[] => [
  FUNCTIONS,
  AGGREGATES,
  TYPES,
  MULTIRANGES,
  CASTS,
  OPERATORS,
  OPERATOR_CLASSES,
  OPERATOR_FAMILIES,
  COLLATIONS,
  CONVERSIONS,
  ...TEXT_SEARCH,
  LANGUAGES,
  ACCESS_METHODS,
  TRANSFORMS,
  EVENT_TRIGGERS,
]

const FUNCTIONS = `
select 'function', p.oid::regprocedure::text, concat_ws('|', pg_get_functiondef(p.oid), ${owned('proowner')}, 'grants=' || ${grants('proacl', 'f', 'proowner')})
  from pg_proc p where prokind <> 'a' and ${ownObject('pg_proc', 'p.oid')}`

const AGGREGATES = `
select 'aggregate', p.oid::regprocedure::text, concat_ws('|', pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), provolatile::text, proparallel::text,
       (to_jsonb(g) - array['aggfnoid', 'aggtranstype', 'aggmtranstype', 'aggsortop'])::text, format_type(aggtranstype, null),
       nullif(format_type(aggmtranstype, null), '-'), nullif(aggsortop, 0)::regoperator, ${owned('proowner')}, 'grants=' || ${grants('proacl', 'f', 'proowner')})
  from pg_proc p join pg_aggregate g on g.aggfnoid = p.oid where ${ownObject('pg_proc', 'p.oid')}`

/** Row types of tables and array types come with what they are made for. */
const TYPES = `
select 'type', ${qualified('typnamespace', 'typname')}, concat_ws('|', 'kind=' || typtype::text, ${owned('typowner')},
       'labels=' || (select string_agg(quote_literal(enumlabel), ',' order by enumsortorder) from pg_enum e where e.enumtypid = t.oid),
       case when typtype = 'd' then concat_ws(' ', 'base=' || format_type(typbasetype, typtypmod), case when typnotnull then 'not null' end, 'default ' || typdefault, 'collate ' || nullif(typcollation, 0)::regcollation) end,
       (select concat_ws(' ', 'range of ' || rngsubtype::regtype, 'collation=' || nullif(rngcollation, 0)::regcollation, 'class=' || ${identity('pg_opclass', 'rngsubopc')},
               'canonical=' || rngcanonical, 'difference=' || rngsubdiff, 'multirange=' || rngmultitypid::regtype) from pg_range where rngtypid = t.oid),
       case when typtype = 'b' then (to_jsonb(t) - array['oid', 'typname', 'typnamespace', 'typowner', 'typacl', 'typrelid', 'typelem', 'typarray', 'typbasetype', 'typcollation'])::text || ' ' || typelem::regtype end,
       'grants=' || ${grants('typacl', 'T', 'typowner')})
  from pg_type t
 where typtype in ('b', 'd', 'e', 'r', 'c', 'p') and (typtype <> 'c' or exists (select from rel where rel.oid = typrelid and relkind = 'c'))
   and not exists (select from pg_type e where e.typarray = t.oid) and ${ownObject('pg_type', 't.oid')}`

/** Made by their range type, owned by whoever made it: a dump does not carry that. */
const MULTIRANGES = `
select 'owner of multirange', ${qualified('typnamespace', 'typname')}, concat_ws('|', ${owned('typowner')}, 'grants=' || ${grants('typacl', 'T', 'typowner')})
  from pg_type t where typtype = 'm' and ${ownObject('pg_type', 't.oid')}`

const CASTS = `
select 'cast', ${identity('pg_cast', 'c.oid')}, concat_ws('|', 'function=' || nullif(castfunc, 0)::regprocedure, 'context=' || castcontext::text, 'method=' || castmethod::text)
  from pg_cast c where ${ownObject('pg_cast', 'c.oid')}`

const OPERATORS = `
select 'operator', o.oid::regoperator::text, concat_ws('|', ${columnsBut('o', 'oprname', 'oprnamespace', 'oprowner', 'oprleft', 'oprright', 'oprresult', 'oprcom', 'oprnegate')},
       'commutator=' || nullif(oprcom, 0)::regoperator, 'negator=' || nullif(oprnegate, 0)::regoperator, ${owned('oprowner')})
  from pg_operator o where ${ownObject('pg_operator', 'o.oid')}`

const OPERATOR_CLASSES = `
select 'operator class', ${identity('pg_opclass', 'o.oid')}, concat_ws('|', 'for=' || opcintype::regtype, 'family=' || ${identity('pg_opfamily', 'opcfamily')},
       case when opcdefault then 'default' end, 'key=' || nullif(opckeytype, 0)::regtype, ${owned('opcowner')})
  from pg_opclass o where ${ownObject('pg_opclass', 'o.oid')}`

/** With every member: users may add some to a family of the system or of an extension. */
const OPERATOR_FAMILIES = `
select 'operator family', ${identity('pg_opfamily', 'f.oid')}, ${owned('opfowner')} from pg_opfamily f where ${ownObject('pg_opfamily', 'f.oid')}
union all
select 'operator of family', concat_ws(' ', ${identity('pg_opfamily', 'amopfamily')}, amopstrategy, amoplefttype::regtype, amoprighttype::regtype),
       concat_ws(' ', amopopr::regoperator, amoppurpose::text, ${identity('pg_opfamily', 'nullif(amopsortfamily, 0)')})
  from pg_amop a where ${ownObject('pg_opfamily', 'amopfamily')} or (a.oid >= ${FIRST_USER_OID} and amopfamily < ${FIRST_USER_OID} and ${ownObject('pg_operator', 'amopopr')})
union all
select 'function of family', concat_ws(' ', ${identity('pg_opfamily', 'amprocfamily')}, amprocnum, amproclefttype::regtype, amprocrighttype::regtype), amproc::regprocedure::text
  from pg_amproc a where ${ownObject('pg_opfamily', 'amprocfamily')} or (a.oid >= ${FIRST_USER_OID} and amprocfamily < ${FIRST_USER_OID} and ${ownObject('pg_proc', 'amproc')})`

const COLLATIONS = `
select 'collation', ${qualified('collnamespace', 'collname')}, concat_ws('|', ${columnsBut('c', 'collname', 'collnamespace', 'collowner', 'collversion')}, ${owned('collowner')})
  from pg_collation c where ${ownObject('pg_collation', 'c.oid')}`

const CONVERSIONS = `
select 'conversion', ${qualified('connamespace', 'conname')}, concat_ws('|', pg_encoding_to_char(conforencoding), pg_encoding_to_char(contoencoding), conproc, case when condefault then 'default' end, ${owned('conowner')})
  from pg_conversion c where ${ownObject('pg_conversion', 'c.oid')}`

const TEXT_SEARCH = [
  `
select 'text search configuration', ${qualified('cfgnamespace', 'cfgname')}, concat_ws('|', 'parser=' || ${identity('pg_ts_parser', 'cfgparser')}, ${owned('cfgowner')},
       (select string_agg(maptokentype || ':' || mapseqno || ':' || mapdict::regdictionary, ',' order by maptokentype, mapseqno) from pg_ts_config_map m where mapcfg = c.oid))
  from pg_ts_config c where ${ownObject('pg_ts_config', 'c.oid')}`,
  `
select 'text search dictionary', ${qualified('dictnamespace', 'dictname')}, concat_ws('|', 'template=' || ${identity('pg_ts_template', 'dicttemplate')}, dictinitoption, ${owned('dictowner')})
  from pg_ts_dict d where ${ownObject('pg_ts_dict', 'd.oid')}`,
  `
select 'text search parser', ${qualified('prsnamespace', 'prsname')}, ${columnsBut('p', 'prsname', 'prsnamespace')} from pg_ts_parser p where ${ownObject('pg_ts_parser', 'p.oid')}`,
  `
select 'text search template', ${qualified('tmplnamespace', 'tmplname')}, ${columnsBut('t', 'tmplname', 'tmplnamespace')} from pg_ts_template t where ${ownObject('pg_ts_template', 't.oid')}`,
]

const LANGUAGES = `
select 'language', lanname::text, concat_ws('|', case when lanpltrusted then 'trusted' end, 'handler=' || nullif(lanplcallfoid, 0)::regprocedure, 'inline=' || nullif(laninline, 0)::regprocedure,
       'validator=' || nullif(lanvalidator, 0)::regprocedure, ${owned('lanowner')}, 'grants=' || ${grants('lanacl', 'l', 'lanowner')})
  from pg_language l where ${ownObject('pg_language', 'l.oid')}`

const ACCESS_METHODS = `
select 'access method', amname::text, concat_ws('|', amtype::text, amhandler) from pg_am a where ${ownObject('pg_am', 'a.oid')}`

const TRANSFORMS = `
select 'transform', ${identity('pg_transform', 't.oid')}, concat_ws('|', trffromsql, trftosql) from pg_transform t where ${ownObject('pg_transform', 't.oid')}`

const EVENT_TRIGGERS = `
select 'event trigger', evtname::text, concat_ws('|', evtevent, evtfoid::regprocedure, 'enabled=' || evtenabled::text, 'tags=' || array_to_string(evttags, ','), ${owned('evtowner')})
  from pg_event_trigger e where ${ownObject('pg_event_trigger', 'e.oid')}`
