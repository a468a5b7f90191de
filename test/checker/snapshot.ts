import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { connect, elsewhere } from './connect.js'

/** What is looked at: one database, and what stands around it. */
export interface Place {
  /** Of the database, as a superuser. */
  url: string
  /** The program, of the server's version or later. */
  pgDump: string
  /** Consumers and services: what each is doing, in words. */
  surroundings?: () => Promise<Record<string, string>>
}

/** What the world was like at a moment: one line for each thing that could differ. */
export type Snapshot = Record<string, string>

/**
 * Looks from outside at everything a run must leave as it was. Shares no code with what it judges. The database's own name
 * is taken out, so that a copy can be compared with its original. Changes nothing, and takes no transaction id.
 */
export async function snapshotOf({ url, pgDump, surroundings }: Place): Promise<Snapshot> {
  const name = decodeURIComponent(new URL(url).pathname.slice(1))
  const seen = {
    ...prefixed('schema', await dumpedSchema(pgDump, url)),
    ...(await lookAround(name, url)),
    ...(await lookInside(url)),
  }
  const anonymous = JSON.parse(JSON.stringify(seen).replaceAll(name, 'THE_DATABASE'))
  return { ...anonymous, ...prefixed('around', (await surroundings?.()) ?? {}) }
}

/** What is in one snapshot and not in the other, or different; empty when they are equal. */
export function differences(before: Snapshot, now: Snapshot): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((key) => before[key] !== now[key])
    .sort()
    .map((key) => `${key}: was ${shown(before[key])}, is ${shown(now[key])}`)
}

const shown = (value: string | undefined): string => (value === undefined ? 'absent' : JSON.stringify(value))

const prefixed = (prefix: string, entries: Record<string, string>): Snapshot =>
  Object.fromEntries(Object.entries(entries).map(([key, value]) => [`${prefix} ${key}`, value]))

/** `pg_dump`'s own words, one entry for each object: their order is not theirs to promise, nor that of the grants on one object. */
async function dumpedSchema(pgDump: string, url: string): Promise<Record<string, string>> {
  const { stdout } = await promisify(execFile)(pgDump, ['--schema-only', '--create', `--dbname=${url}`], {
    maxBuffer: 1 << 28,
  })
  const [preamble = '', ...objects] = stdout.split(/^--\n-- Name: /m)
  const entries: Record<string, string[]> = { preamble: [preamble] }
  for (const object of objects) {
    const [title = ''] = object.split('\n', 1)
    entries[title] = [...(entries[title] ?? []), object]
  }
  return Object.fromEntries(
    Object.entries(entries).map(([title, texts]) => [
      title,
      / ACL|DATABASE PROPERTIES/.test(title) ? sortedLines(texts.join('\n')) : meant(texts.join('\n')),
    ]),
  )
}

/** Without the lines that are never the same twice, or say nothing. */
const meant = (text: string): string =>
  text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('--') && !/^\\(un)?restrict /.test(line))
    .join('\n')

const sortedLines = (text: string): string => meant(text).split('\n').sort().join('\n')

/** The database as the cluster sees it: from another one, since it may be closed. A default ACL is what it means, written out or not. */
async function lookAround(name: string, url: string): Promise<Snapshot> {
  return reading(elsewhere(url), async (rows) => ({
    ...(await rows(
      `select 'database ' || key, value from pg_database d, pg_roles r, lateral (values
         ('owner', r.rolname), ('encoding', pg_encoding_to_char(encoding)), ('locale', datcollate || ' ' || datctype || ' ' || datlocprovider::text),
         ('connection limit', datconnlimit::text), ('connections allowed', datallowconn::text), ('is a template', datistemplate::text),
         ('tablespace', (select spcname from pg_tablespace t where t.oid = dattablespace)),
         ('comment', coalesce(shobj_description(d.oid, 'pg_database'), '')),
         ('acl', (select coalesce(string_agg(item::text, ' ' order by item::text), '') from unnest(coalesce(datacl, acldefault('d', datdba))) item))) as facts(key, value)
       where datname = $1 and r.oid = datdba`,
      [name],
    )),
    ...(await rows(
      `select 'setting of ' || coalesce(rolname, 'everybody') || ': ' || split_part(setting, '=', 1), setting
         from pg_db_role_setting s join pg_database d on d.oid = setdatabase left join pg_roles r on r.oid = setrole, unnest(setconfig) setting
        where datname = $1`,
      [name],
    )),
  }))
}

async function lookInside(url: string): Promise<Snapshot> {
  return reading(url, async (rows) => ({
    ...(await rows(`
      select format('index %s', i.indexrelid::regclass), concat_ws(' ', pg_get_indexdef(i.indexrelid), indisvalid, indisready, indislive, indisclustered, indisreplident)
        from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'`)),
    ...(await rows(`
      select format('large object %s', l.oid), concat_ws(' ', md5(lo_get(l.oid)), lomowner::regrole, obj_description(l.oid, 'pg_largeobject'),
        (select string_agg(item::text, ' ' order by item::text) from unnest(coalesce(lomacl, acldefault('L', lomowner))) item)) from pg_largeobject_metadata l`)),
    ...(await contents(rows)),
  }))
}

/** Each table's rows by count and hash, whatever their order, and each sequence's position. */
async function contents(rows: Rows): Promise<Snapshot> {
  const relations = await rows(`
    select format('%I.%I', nspname, relname), relkind::text from pg_class c join pg_namespace n on n.oid = relnamespace
     where relkind in ('r', 'm', 'S') and nspname !~ '^pg_' and nspname <> 'information_schema'`)
  const found: Snapshot = {}
  for (const [relation, kind] of Object.entries(relations)) {
    const one =
      kind === 'S'
        ? await rows(`select 'sequence', concat_ws(' ', last_value, is_called) from ${relation}`)
        : await rows(`select 'rows', count(*) || ' rows, ' || md5(coalesce(string_agg(hash, '' order by hash), ''))
            from (select md5("the whole row"::text) as hash from only ${relation} "the whole row") hashes`)
    for (const [what, value] of Object.entries(one)) found[`${what} of ${relation}`] = value
  }
  return found
}

type Rows = (sql: string, values?: string[]) => Promise<Snapshot>

/** Whatever the database or the role has set, the same value is the same text. */
const PLAIN = `begin isolation level repeatable read read only; set local search_path = ''; set local datestyle = 'ISO, YMD'; set local timezone = 'UTC';
  set local intervalstyle = 'postgres'; set local bytea_output = 'hex'; set local extra_float_digits = 1; set local row_security = off; set local statement_timeout = 0`

async function reading(url: string, look: (rows: Rows) => Promise<Snapshot>): Promise<Snapshot> {
  const client = await connect(url)
  try {
    await client.query(PLAIN)
    return await look(async (sql, values = []) => {
      const { rows } = await client.query<[string, string]>({ text: sql, values, rowMode: 'array' })
      return Object.fromEntries(rows)
    })
  } finally {
    await client.end()
  }
}
