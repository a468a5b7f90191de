import { failure } from '../../domain/failures.js'

/** Where a database is and how to log in. Made from a URL once; `options` and `application_name` in it are stripped. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | undefined
  /** libpq's `sslmode`; `disable` when the URL says nothing and the host is loopback or a socket. */
  readonly sslmode: string | undefined
  readonly sslrootcert: string | undefined
}

const URL_SHAPE =
  /^postgres(?:ql)?:\/\/(?:([^:/?]*?)(?::([^/?]*))?@)?(\[[0-9A-Fa-f:.]+\]|[^:/?@[\]]*)(?::(\d{0,5}))?(?:\/([^?]*))?(?:\?(.*))?$/
const SSL_MODES = new Set(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'])
/** Replaced by our own (`options`, `application_name`, timeouts) or without a meaning here. */
const STRIPPED =
  /^(options|application_name|fallback_application_name|connect_timeout|keepalives.*|tcp_user_timeout|target_session_attrs|client_encoding|channel_binding|gssencmode)$/
const CONNECT_TIMEOUT_SECONDS = '5'

/** Reads `postgres://` or `postgresql://`. Throws `ConfigurationInvalid`, never with the URL's text: it holds a password. */
export function parseTarget(url: string): Target {
  const match = URL_SHAPE.exec(url)
  if (!match) throw invalid('is not a postgres:// url')
  const query = parameters(match[6] ?? '')
  const host = query.get('host') ?? decoded(match[3] ?? '').replace(/^\[(.*)\]$/, '$1')
  const user = query.get('user') ?? decoded(match[1] ?? '')
  if (user === '') throw invalid('names no user')
  const sslmode = query.get('sslmode') ?? (isLocal(host) ? 'disable' : undefined)
  if (sslmode !== undefined && !SSL_MODES.has(sslmode)) throw invalid('has an unknown sslmode')
  const target: Target = {
    host: host || 'localhost',
    port: port(query.get('port') ?? match[4]),
    database: query.get('dbname') || decoded(match[5] ?? '') || user,
    user,
    password: query.get('password') ?? (match[2] === undefined ? undefined : decoded(match[2])),
    sslmode,
    sslrootcert: query.get('sslrootcert'),
  }
  return withDatabase(target, target.database)
}

/** The same server and login, another database. Throws `ConfigurationInvalid` for a name that libpq would read as a connection string. */
export function withDatabase(target: Target, database: string): Target {
  if (database.includes('=') || database.includes('://')) throw invalid('has a database name with = or :// in it')
  if (database === '' || database.includes('\0')) throw invalid('has no usable database name')
  return { ...target, database }
}

export interface ChildSettings {
  /** Without it the child names itself. */
  applicationName?: string
  /** Server settings for each session of the child, by name. */
  options: Record<string, string>
}

/** The environment by which libpq, and every tool on it, reaches the target. Holds the password: never shown or logged. */
export function libpqEnvironment(target: Target, settings: ChildSettings): Record<string, string> {
  return {
    PGHOST: target.host,
    PGPORT: String(target.port),
    PGUSER: target.user,
    ...(target.password === undefined ? {} : { PGPASSWORD: target.password }),
    PGDATABASE: target.database,
    ...(target.sslmode === undefined ? {} : { PGSSLMODE: target.sslmode }),
    ...(target.sslrootcert === undefined ? {} : { PGSSLROOTCERT: target.sslrootcert }),
    ...(settings.applicationName === undefined ? {} : { PGAPPNAME: settings.applicationName }),
    PGOPTIONS: startupOptions(settings.options),
    PGCONNECT_TIMEOUT: CONNECT_TIMEOUT_SECONDS,
  }
}

/** `-c name=value ...`, spaces and backslashes escaped as the server reads them. */
export function startupOptions(options: Record<string, string>): string {
  return Object.entries(options)
    .map(([name, value]) => `-c ${`${name}=${value}`.replace(/[\\\s]/g, '\\$&')}`)
    .join(' ')
}

/** A URL for drivers that take nothing else. Holds the password: only ever handed over by environment. */
export function targetUrl(target: Target, applicationName?: string, options?: Record<string, string>): string {
  const login = encodeURIComponent(target.user)
  const password = target.password === undefined ? '' : `:${encodeURIComponent(target.password)}`
  const host = target.host.includes(':') ? `[${target.host}]` : encodeURIComponent(target.host)
  const query = Object.entries({
    sslmode: target.sslmode,
    sslrootcert: target.sslrootcert,
    application_name: applicationName,
    options: options && startupOptions(options),
  }).flatMap(([name, value]) => (value ? [`${name}=${encodeURIComponent(value)}`] : []))
  const tail = query.length === 0 ? '' : `?${query.join('&')}`
  return `postgres://${login}${password}@${host}:${target.port}/${encodeURIComponent(target.database)}${tail}`
}

/** `host:port/database` and the user: what a message may show. */
export const describeTarget = (target: Target): string =>
  `${target.host}:${target.port}/${target.database} as ${target.user}`

const invalid = (what: string): Error => failure('ConfigurationInvalid', `the database url ${what}`)

const isLocal = (host: string): boolean =>
  host === '' || host.startsWith('/') || host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('has a broken percent escape')
  }
}

function port(text: string | undefined): number {
  const number = Number(text || '5432')
  if (!Number.isInteger(number) || number < 1 || number > 65_535) throw invalid('has an impossible port')
  return number
}

function parameters(text: string): Map<string, string> {
  const known = new Map<string, string>()
  for (const pair of text.split('&')) {
    const at = pair.indexOf('=')
    const name = decoded(at < 0 ? pair : pair.slice(0, at))
    if (name === '' || STRIPPED.test(name)) continue
    if (!/^(host|port|user|password|dbname|sslmode|sslrootcert)$/.test(name)) throw invalid(unsupported(name))
    known.set(name, decoded(pair.slice(at + 1)))
  }
  return known
}

/** A name that does not look like one may be a piece of a password with an unescaped `?` or `&`: it is not shown. */
const unsupported = (name: string): string =>
  /^[a-z_]{1,30}$/.test(name) ? `has the parameter ${name}, which is not supported` : 'has an unknown parameter'
