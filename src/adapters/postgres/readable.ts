import type { Client } from 'pg'

/** Something that the session's role may not read, though a dump and a fingerprint have to, and the SQL that grants it. */
export interface Unreadable {
  what: string
  grant: string
}

/** `kind`: `read` of tables and sequences, `rows` that policies hide, `objects` of the owner `name`. */
const UNREADABLE = `
with relations as (
  select c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) as name, n.oid as schema
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'm', 'S') and c.relpersistence <> 't'
     and n.nspname !~ '^pg_' and n.nspname <> 'information_schema')
select 'read' as kind, name, 1 as count, quote_ident(current_user) as who from relations
 where not has_schema_privilege(schema, 'usage')
    or not case relkind when 'S' then has_sequence_privilege(oid, 'select') else has_table_privilege(oid, 'select') end
union all
select 'rows', name, 1, quote_ident(current_user) from relations where relkind <> 'S' and row_security_active(oid)
union all
select 'objects', lomowner::regrole::text, count(*)::int, quote_ident(current_user) from pg_largeobject_metadata
 where not pg_has_role(lomowner, 'usage') and not exists (
   select from aclexplode(coalesce(lomacl, acldefault('L', lomowner))) a
    where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'usage')))
 group by lomowner
 order by kind, name`

/** What of the session's database its role may not read. Needs no rights beyond connecting. */
export async function unreadableOf(session: Client): Promise<Unreadable[]> {
  const { rows } = await session.query<{ kind: 'read' | 'rows' | 'objects'; name: string; count: number; who: string }>(
    UNREADABLE,
  )
  const who = rows[0]?.who ?? ''
  const named = (kind: 'read' | 'rows'): string[] => rows.filter((row) => row.kind === kind).map(({ name }) => name)
  const [read, hidden] = [named('read'), named('rows')]
  return [
    ...(read.length === 0
      ? []
      : [{ what: `may not read ${several(read)}`, grant: `grant pg_read_all_data to ${who};` }]),
    ...(hidden.length === 0
      ? []
      : [{ what: `does not see every row of ${several(hidden)}`, grant: `alter role ${who} bypassrls;` }]),
    ...rows
      .filter(({ kind }) => kind === 'objects')
      // Both are quoted already.
      .map(({ name, count }) => ({
        what: `may not read ${count} large ${count === 1 ? 'object' : 'objects'} of ${name}`,
        grant: `grant ${name} to ${who};`,
      })),
  ]
}

const several = ([first = '', ...more]: readonly string[]): string =>
  more.length === 0 ? first : `${first} and ${more.length} more`
