import { libpqEnvironment, type Target } from '../postgres/target.js'

/**
 * What every session of a migrator gets, by PGOPTIONS: a dead client ends its work, waiting and idling have an end. Also as
 * the URL in `urlVariable`, for a tool that wants one.
 */
export function toolEnvironment(
  target: Target,
  applicationName: string,
  {
    lockTimeoutMs,
    statementTimeoutMs,
    readOnly,
  }: { lockTimeoutMs: number; statementTimeoutMs: number; readOnly?: boolean },
  urlVariable?: string,
): Record<string, string> {
  const options = {
    client_connection_check_interval: '1000',
    lock_timeout: String(lockTimeoutMs),
    statement_timeout: String(statementTimeoutMs),
    idle_in_transaction_session_timeout: '60000',
    ...(readOnly ? { default_transaction_read_only: 'on' } : {}),
  }
  const environment = libpqEnvironment(target, { applicationName, options })
  return urlVariable === undefined ? environment : { ...environment, [urlVariable]: plainUrl(target) }
}

const LOOKED_WITHIN_MS = 60_000

/** For a tool that only looks: exactly these libpq variables beside the target's, and an end. */
export const lookingOnly = (
  target: Target,
  variables: Record<string, string>,
  urlVariable: string,
): { env: Record<string, string>; timeoutMs: number } => {
  const {
    PGAPPNAME: _name,
    PGOPTIONS: _options,
    ...env
  } = libpqEnvironment(target, { applicationName: '', options: {} })
  return { env: { ...env, [urlVariable]: plainUrl(target), ...variables }, timeoutMs: LOOKED_WITHIN_MS }
}

/** The target for a tool that wants a URL. Without parameters: name and settings come by PGAPPNAME and PGOPTIONS, which libpq adds, and other drivers refuse them. */
export function plainUrl({ user, password, host, port, database }: Target): string {
  const login =
    password === undefined ? encodeURIComponent(user) : `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
  const at = host.includes(':') ? `[${host}]` : encodeURIComponent(host)
  return `postgresql://${login}@${at}:${port}/${encodeURIComponent(database)}`
}

/** Replaces `{name}` inside single arguments. */
export const filled = (command: readonly string[], values: Record<string, string>): string[] =>
  command.map((argument) => argument.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole))
