import type { Client } from 'pg'

/**
 * Text of rows and of definitions must be the same for everybody who reads it: these settings change it. Row security
 * must fail, not hide rows.
 */
const PINNED: Record<string, string> = {
  search_path: '',
  quote_all_identifiers: 'off',
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  xmloption: 'content',
  lc_monetary: 'C',
  row_security: 'off',
  jit: 'off',
}

/** Runs `work` with the settings pinned, then puts the session's own back; inside a transaction or outside. */
export async function withPinnedSettings<T>(session: Client, work: () => Promise<T>): Promise<T> {
  const { rows } = await session.query<{ name: string; was: string }>(
    'select name, current_setting(name) as was, set_config(name, value, false) from unnest($1::text[], $2::text[]) s(name, value)',
    [Object.keys(PINNED), Object.values(PINNED)],
  )
  try {
    return await work()
  } finally {
    const restored = session.query(
      'select set_config(name, value, false) from unnest($1::text[], $2::text[]) s(name, value)',
      [rows.map(({ name }) => name), rows.map(({ was }) => was)],
    )
    // In a transaction that failed it cannot run: then the rollback puts them back.
    await restored.catch(() => {})
  }
}
