import pg from 'pg'

/**
 * Classes of SQLSTATE that pass: connection (08), resources (53), rollback (40), not ready for it (55), operator (57).
 * While a gate is closed or a database is swapped it refuses sessions, ends them, or is not there under its name.
 */
const PASSING_CLASSES = ['08', '40', '53', '55', '57']
const INVALID_CATALOG_NAME = '3D000'
const LOGIN_REFUSED = '28000'
const CONNECT_REFUSED = '42501'
const READ_ONLY = '25006'
const PASSING_CODES = [INVALID_CATALOG_NAME, LOGIN_REFUSED, CONNECT_REFUSED, READ_ONLY]
const NETWORK = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOENT', 'EAI_AGAIN']
const NO_ANSWER = /Connection terminated|timeout exceeded when trying to connect|connection error|not queryable/

export const UNDEFINED_COLUMN = '42703'
const UNDEFINED_TABLE = '42P01'

const settings = (url, name) => ({
  connectionString: url,
  application_name: name,
  connectionTimeoutMillis: 5_000,
  statement_timeout: 10_000,
  keepAlive: true,
})

/** A few sessions that come and go: one that was ended from outside is replaced by the next query. */
export function openPool(url, name) {
  const pool = new pg.Pool({ ...settings(url, name), max: 4, idleTimeoutMillis: 10_000 })
  pool.on('error', () => {})
  return pool
}

/** One session. */
export async function openSession(url, name) {
  const session = new pg.Client(settings(url, name))
  session.on('error', () => {})
  await session.connect()
  return session
}

/** Whether the database is only away for now: asking again is right, crashing is wrong. */
export function isAway(error) {
  const { code, message = '' } = error ?? {}
  if (NETWORK.includes(code) || PASSING_CODES.includes(code)) return true
  if (typeof code === 'string' && code.length === 5) return PASSING_CLASSES.includes(code.slice(0, 2))
  return NO_ANSWER.test(message)
}

/** Whether the schema is not one that this code knows: tables not made yet, a column gone. */
export const isForeignSchema = (error) => [UNDEFINED_TABLE, UNDEFINED_COLUMN].includes(error?.code)
