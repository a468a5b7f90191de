import type { ExistsCheck } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { onDatabase } from './on-database.js'
import type { Check, CheckSetting } from './port.js'

const TIMEOUT_MS = 30_000

/**
 * `pg_class.relkind`: tables and partitioned ones, views, materialized views, foreign tables; indexes and partitioned ones. A
 * name is as PostgreSQL reads it: with its schema, or found by the search path.
 */
const MISSING = `
  with wanted as (
    select 'table' as what, name, to_regclass(name) as oid from unnest($1::text[]) as name
    union all select 'index', name, to_regclass(name) from unnest($2::text[]) as name
    union all select 'column', name, to_regclass((
        select string_agg(quote_ident(part), '.' order by at) from unnest(parse_ident(name)) with ordinality as p (part, at)
        where at < cardinality(parse_ident(name)))) from unnest($3::text[]) as name)
  select what, name, case
      when what = 'index' and relkind in ('i', 'I') and not indisvalid then 'is not valid' else 'is not there' end as why
  from wanted left join pg_class on pg_class.oid = wanted.oid left join pg_index on indexrelid = wanted.oid
  where case what
    when 'table' then relkind in ('r', 'p', 'v', 'm', 'f')
    when 'index' then relkind in ('i', 'I') and indisvalid
    else exists (select from pg_attribute where attrelid = wanted.oid and attnum > 0 and not attisdropped
      and attname = (parse_ident(name))[cardinality(parse_ident(name))]) end is not true`

/** Tables, columns and indexes that must be there after the stage; an index must be valid too. Asked once. */
export function exists({ name: given, tables, columns, indexes }: ExistsCheck, setting: CheckSetting): Check {
  const count = tables.length + columns.length + indexes.length
  const name = given ?? `${count} ${count === 1 ? 'relation' : 'relations'} there`
  return onDatabase({ name, timeoutMs: TIMEOUT_MS }, setting, async (session) => {
    const wanted = [tables, indexes, columns]
    const { rows } = await session.query<{ what: string; name: string; why: string }>(MISSING, wanted)
    const missing = rows.map((row) => `${row.what} ${row.name} ${row.why}`)
    return { ok: rows.length === 0, found: excerpt(missing.join(', ') || `all ${count}`, setting.secrets) }
  })
}
