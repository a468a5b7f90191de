import type { MigratorConfiguration } from '../../domain/configuration-migrator.js'
import { failure } from '../../domain/failures.js'
import { startNamingProxy } from '../postgres/naming-proxy.js'
import { type ChildSettings, libpqEnvironment, type Target } from '../postgres/target.js'
import type { ToolHost } from '../process/tool-host.js'

/** For a tool that only shows that it can connect. */
export const CONNECTED_WITHIN_MS = 60_000

/** What each session of a tool is known by and limited to: a dead client ends its work, waiting and idling have an end. */
export const toolSession = (
  applicationName: string,
  {
    lockTimeoutMs,
    statementTimeoutMs,
    readOnly,
  }: { lockTimeoutMs: number; statementTimeoutMs: number; readOnly?: boolean },
): ChildSettings => ({
  applicationName,
  options: {
    client_connection_check_interval: '1000',
    lock_timeout: String(lockTimeoutMs),
    statement_timeout: String(statementTimeoutMs),
    idle_in_transaction_session_timeout: '60000',
    ...(readOnly ? { default_transaction_read_only: 'on' } : {}),
  },
})

/**
 * Calls a tool with the variables by which it reaches the target, libpq's and the URL in `urlVariable`; they hold for as long
 * as `call` goes on.
 */
export type WithTarget = <T>(
  target: Target,
  session: ChildSettings,
  urlVariable: string,
  call: (env: Record<string, string>) => Promise<T>,
) => Promise<T>

/** Name and settings come by PGAPPNAME and PGOPTIONS, or for a driver that ignores them by a proxy that lasts as long as the call. */
export function withTargetOf(configuration: MigratorConfiguration, host: ToolHost): WithTarget {
  if (configuration.driver !== 'other')
    return (target, session, urlVariable, call) => call(toolEnvironment(host.target(target), session, urlVariable))
  const { network = 'host' } = configuration.container ?? {}
  if (!host.isHere && network !== 'host')
    throw failure(
      'ConfigurationInvalid',
      `migrator.driver: other needs a proxy on 127.0.0.1, which a container in the network ${network} does not reach`,
    )
  return async (target, session, urlVariable, call) => {
    // Says no to what a container does not reach.
    host.target(target)
    const proxy = await startNamingProxy(target, session)
    try {
      return await call(toolEnvironment(host.target(proxy.target), session, urlVariable))
    } finally {
      await proxy.close()
    }
  }
}

/** libpq's variables, and the URL in `urlVariable`. */
export const toolEnvironment = (
  target: Target,
  session: ChildSettings,
  urlVariable: string,
): Record<string, string> => ({ ...libpqEnvironment(target, session), [urlVariable]: plainUrl(target) })

/** The target for a tool that wants a URL. Without parameters: drivers refuse those of others. */
export function plainUrl({ user, password, host, port, database }: Target): string {
  const login =
    password === undefined ? encodeURIComponent(user) : `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
  const at = host.includes(':') ? `[${host}]` : encodeURIComponent(host)
  return `postgresql://${login}@${at}:${port}/${encodeURIComponent(database)}`
}

/** Replaces `{name}` inside single arguments. */
export const filled = (command: readonly string[], values: Record<string, string>): string[] =>
  command.map((argument) => argument.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole))
