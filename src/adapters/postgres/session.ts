import { readFile } from 'node:fs/promises'
import { Client, type ClientConfig, escapeIdentifier, escapeLiteral } from 'pg'
import { type FailureCode, failure } from '../../domain/failures.js'
import { describeTarget, startupOptions, type Target } from './target.js'

export interface SessionOptions {
  /** ASCII, at most 63 bytes: the server would change anything else. Ours is `hg:<scope>:<epoch>:<step>`, so that a later attempt can find and end the session. */
  applicationName: string
  lockTimeoutMs?: number
  statementTimeoutMs?: number
  readOnly?: boolean
}

const CONNECT_TIMEOUT_MS = 5_000
const LOCK_TIMEOUT_MS = 5_000
/** SQLSTATEs of a server that does not know a setting, or not on its platform. */
const UNKNOWN_SETTING = new Set(['42704', '22023'])

/** A name as SQL, quoted. */
export const quoteIdentifier = (name: string): string => escapeIdentifier(name)
/** A text as SQL, quoted. */
export const quoteLiteral = (text: string): string => escapeLiteral(text)

/**
 * Opens one connection, never a pool: pools reconnect silently. The server ends its work within a second once we are
 * gone (PostgreSQL 14 and newer). Throws `DatabaseUnreachable` (no server, closed or missing database, too many
 * sessions: worth a retry), `LoginRefused` (SQLSTATE class 28) or `RightsMissing` (42501: no right to connect), each with
 * the server's reason; `GuardFailed` where a pooler swallows our settings.
 */
export async function openSession(target: Target, options: SessionOptions): Promise<Client> {
  const settings = sessionSettings(options)
  try {
    return await connected(target, options, settings)
  } catch (error) {
    if (!UNKNOWN_SETTING.has(sqlState(error))) throw unreachable(target, error)
    const { client_connection_check_interval: _, idle_session_timeout: __, ...older } = settings
    return await connected(target, options, older).catch((again) => {
      throw unreachable(target, again)
    })
  }
}

/** Opens a session, runs `work`, closes it always. Throws what `openSession` and `work` throw. */
export async function withSession<T>(
  target: Target,
  options: SessionOptions,
  work: (session: Client) => Promise<T>,
): Promise<T> {
  const session = await openSession(target, options)
  try {
    return await work(session)
  } finally {
    await session.end().catch(() => {})
  }
}

/** Runs `work`; when `signal` aborts, cuts the connection, which ends the statement at the server, and throws the signal's reason. */
export async function whileAllowed<T>(
  session: Client,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const cut = (): void => void session.end().catch(() => {})
  signal?.addEventListener('abort', cut, { once: true })
  try {
    return await work()
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', cut)
  }
}

/** The server's SQLSTATE, or the empty string. */
export const sqlState = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

function sessionSettings(options: SessionOptions): Record<string, string> {
  return {
    client_connection_check_interval: '1s',
    lock_timeout: `${options.lockTimeoutMs ?? LOCK_TIMEOUT_MS}ms`,
    statement_timeout: `${options.statementTimeoutMs ?? 0}ms`,
    idle_in_transaction_session_timeout: '60s',
    idle_session_timeout: '0',
    // Said either way: a database or role setting must not decide it.
    default_transaction_read_only: options.readOnly ? 'on' : 'off',
    default_transaction_isolation: 'read committed',
    TimeZone: 'UTC',
    tcp_keepalives_idle: '15',
    tcp_keepalives_interval: '5',
    tcp_keepalives_count: '3',
  }
}

async function connected(target: Target, options: SessionOptions, settings: Record<string, string>): Promise<Client> {
  const session = await firstThatConnects(await sslChoices(target), {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: target.password ?? '',
    application_name: options.applicationName,
    options: startupOptions(settings),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  try {
    await assertSettings(session, target, options)
    return session
  } catch (error) {
    await session.end().catch(() => {})
    throw error
  }
}

/** Without a listener, the 'error' event of an idle connection would end the process. The next query reports the loss. */
async function firstThatConnects(choices: ClientConfig['ssl'][], config: ClientConfig): Promise<Client> {
  const [ssl, ...rest] = choices
  const session = new Client({ ...config, ssl: ssl ?? false })
  session.on('error', () => {})
  try {
    await session.connect()
    return session
  } catch (error) {
    await session.end().catch(() => {})
    const isRefusedSsl = error instanceof Error && error.message === 'The server does not support SSL connections'
    if (rest.length > 0 && isRefusedSsl) return firstThatConnects(rest, config)
    throw error
  }
}

/** What libpq would do for each `sslmode`; without one it prefers TLS and does without. */
export async function sslChoices(target: Target): Promise<ClientConfig['ssl'][]> {
  const { sslmode = 'prefer', sslrootcert } = target
  if (sslmode === 'disable' || sslmode === 'allow' || target.host.startsWith('/')) return [false]
  const ca = sslrootcert && sslrootcert !== 'system' ? { ca: await readFile(sslrootcert, 'utf8') } : {}
  if (sslmode === 'verify-full' || sslrootcert === 'system') return [{ ...ca, rejectUnauthorized: true }]
  if (sslmode === 'verify-ca' || (sslmode === 'require' && sslrootcert))
    return [{ ...ca, rejectUnauthorized: true, checkServerIdentity: () => undefined }]
  return sslmode === 'require' ? [{ rejectUnauthorized: false }] : [{ rejectUnauthorized: false }, false]
}

/** A pooler in between may drop our settings, and with them the fence. */
async function assertSettings(session: Client, target: Target, options: SessionOptions): Promise<void> {
  const { rows } = await session.query<{ name: string; idle: string }>(
    `select current_setting('application_name') as name, current_setting('idle_in_transaction_session_timeout') as idle`,
  )
  if (rows[0]?.name === options.applicationName && rows[0].idle === '1min') return
  throw pooled(target, 'drops application_name or options')
}

const pooled = (target: Target, what: string): Error =>
  failure('GuardFailed', `the connection to ${describeTarget(target)} ${what}: connect directly, not by a pooler`)

function unreachable(target: Target, error: unknown): Error {
  const state = sqlState(error)
  if (error instanceof Error && 'type' in error) return error
  const code: FailureCode = state.startsWith('28')
    ? 'LoginRefused'
    : state === '42501'
      ? 'RightsMissing'
      : 'DatabaseUnreachable'
  const reason = error instanceof Error ? error.message || state : String(error)
  // PgBouncer's own words, whatever it pools; it goes on with settings of its own choice only.
  if (/unsupported startup parameter/.test(reason)) return pooled(target, 'refuses our settings')
  return failure(code, `cannot connect to ${describeTarget(target)}: ${reason}${state ? ` (${state})` : ''}`, error)
}
