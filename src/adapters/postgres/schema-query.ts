import { codeObjects } from './schema-of-code.js'
import { databaseObjects } from './schema-of-database.js'
import { relationObjects } from './schema-of-relations.js'
import { FIRST_USER_OID, type SchemaReader } from './schema-expressions.js'

/**
 * One row per object: kind, identity, definition. Nothing in it depends on oids, file nodes, dropped columns, physical
 * order or the reader's settings, given an empty `search_path`; so it is equal for a clone and for a restored dump.
 */
export function schemaQuery(reader: SchemaReader): string {
  const parts = [...databaseObjects(reader), ...relationObjects(reader), ...codeObjects(reader)]
  return `
with ext as materialized (select classid, objid from pg_depend where deptype = 'e'),
rel as materialized (
  select c.*, format('%s.%I', relnamespace::regnamespace, relname) as ident,
         exists (select from ext where ext.classid = 'pg_class'::regclass and ext.objid = c.oid) as is_member
    from pg_class c
   where c.oid >= ${FIRST_USER_OID} and relpersistence <> 't' and relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
     and relnamespace <> 'pg_toast'::regnamespace)
select kind as "kind", ident as "identity", coalesce(def, '') as "definition" from (
${parts.join('\nunion all\n')}
) objects(kind, ident, def)`
}
