import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import { quoteIdentifier, quoteLiteral } from '../postgres/session.js'

interface Locale {
  encoding: string
  collate: string
  ctype: string
  /** `c`, `i` (ICU) or `b` (the server's own); null before version 15. */
  provider: string | null
  locale: string | null
  rules: string | null
  tablespace: string
  owner: string
}

/** Columns that not every version has are read as JSON. */
const LOCALE = `
select pg_encoding_to_char(encoding) as encoding, datcollate as "collate", datctype as ctype,
       to_jsonb(d) ->> 'datlocprovider' as provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
       to_jsonb(d) ->> 'daticurules' as rules, spcname as tablespace,
       pg_get_userbyid(datdba) as owner
  from pg_database d join pg_tablespace s on s.oid = dattablespace where datname = $1`

const DEFAULT_TABLESPACE = 'pg_default'
const PROVIDERS: Record<string, string> = { c: 'libc', i: 'icu', b: 'builtin' }

/**
 * Makes an empty, closed database with the encoding, locale and tablespace of `model`, which cannot be changed afterwards,
 * and its owner: from version 15 on nobody but the database's owner may create in the schema `public`, and so own what is
 * restored there. Takes the right to make databases, and to be that owner.
 */
export async function createLike(control: Client, model: string, database: string): Promise<void> {
  const { rows } = await control.query<Locale>(LOCALE, [model])
  if (!rows[0]) throw failure('RestoreFailed', `there is no database ${model} to take encoding and locale from`)
  const settings = settingsOf(rows[0]).map(([name, value]) => `${name} = ${quoteLiteral(value)}`)
  // Naming the default one takes a right that its users need not have.
  const tablespace =
    rows[0].tablespace === DEFAULT_TABLESPACE ? [] : [`tablespace = ${quoteIdentifier(rows[0].tablespace)}`]
  const all = [
    `owner = ${quoteIdentifier(rows[0].owner)}`,
    'template = template0',
    ...settings,
    ...tablespace,
    'allow_connections = false',
  ]
  await control.query(`create database ${quoteIdentifier(database)} ${all.join(' ')}`)
}

function settingsOf({ encoding, collate, ctype, provider, locale, rules }: Locale): [string, string][] {
  const named = provider === null ? undefined : PROVIDERS[provider]
  return [
    ['encoding', encoding],
    ['lc_collate', collate],
    ['lc_ctype', ctype],
    ...(named === undefined ? [] : [['locale_provider', named] satisfies [string, string]]),
    ...(locale === null || named === 'libc' ? [] : [[`${named}_locale`, locale] satisfies [string, string]]),
    ...(rules === null ? [] : [['icu_rules', rules] satisfies [string, string]]),
  ]
}
