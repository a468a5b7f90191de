import { accessSync, constants } from 'node:fs'
import { Client, Connection } from '@temporalio/client'
import type { DataConverter } from '@temporalio/common'
import { loadClientConnectConfig } from '@temporalio/envconfig'
import { failure, knownFailure, messageOf } from '../domain/failures.js'
import { dataConverterOf } from './encryption.js'

export interface Engine {
  client: Client
  address: string
  namespace: string
  close: () => Promise<void>
}

const CONNECT_TIMEOUT_MS = 5_000
/** gRPC's status code. */
const NOT_FOUND = 5

/** Connects to Temporal as envconfig says (address, TLS, API key, profiles). `address` wins. Throws `TemporalUnreachable`. */
export async function connectEngine(address?: string): Promise<Engine> {
  const { connectionOptions, namespace = 'default' } = temporalSettings()
  const merged = {
    ...connectionOptions,
    ...(address === undefined ? {} : { address }),
    connectTimeout: CONNECT_TIMEOUT_MS,
  }
  const where = merged.address ?? 'localhost:7233'
  requireTls(merged)
  try {
    const connection = await Connection.connect(merged)
    await requireNamespace(connection.workflowService, namespace, where)
    return {
      client: new Client({ connection, namespace, ...encryption() }),
      address: where,
      namespace,
      close: () => connection.close(),
    }
  } catch (error) {
    if (knownFailure(error)) throw error
    throw failure('TemporalUnreachable', `cannot reach Temporal at ${where}: ${messageOf(error)}`, error)
  }
}

/** Addresses that do not leave this machine. */
const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d{1,5})?$/

/**
 * Throws `ConfigurationInvalid` where what is said to Temporal could be read or changed on its way: without TLS, off this
 * machine. An API key brings TLS with it, unless that is switched off.
 */
export function requireTls({
  address = 'localhost:7233',
  tls,
  apiKey,
}: ReturnType<typeof temporalSettings>['connectionOptions']): void {
  if (tls || (tls === undefined && apiKey !== undefined) || LOOPBACK.test(address)) return
  if (process.env.HEADGATE_TEMPORAL_CLEAR_TEXT === 'yes') return
  throw failure('ConfigurationInvalid', `Temporal at ${address} would be spoken to in clear text`, undefined, {
    hint: 'set TEMPORAL_TLS=true; or HEADGATE_TEMPORAL_CLEAR_TEXT=yes, where the network itself is trusted',
  })
}

/** For a client or a worker: what Temporal keeps is encrypted where `HEADGATE_CODEC_KEYS` is set. Throws `ConfigurationInvalid`. */
export const encryption = (): { dataConverter: DataConverter } => ({ dataConverter: dataConverterOf(process.env) })

/** What variables and profiles say of Temporal. Throws `ConfigurationInvalid`. */
export function temporalSettings(): ReturnType<typeof loadClientConnectConfig> {
  const file = process.env.TEMPORAL_CONFIG_FILE
  try {
    if (file) accessSync(file, constants.R_OK)
    return loadClientConnectConfig()
  } catch (error) {
    const set = Object.keys(process.env).filter((name) => name.startsWith('TEMPORAL_'))
    throw failure('ConfigurationInvalid', `the settings of Temporal cannot be used: ${messageOf(error)}`, error, {
      hint: `look at ${set.sort().join(', ') || 'temporal.toml'}`,
    })
  }
}

/** Throws `TemporalUnreachable` where the server says that it has no such namespace. */
export async function requireNamespace(
  service: Pick<Connection['workflowService'], 'describeNamespace'>,
  namespace: string,
  where: string,
): Promise<void> {
  const answer = await service.describeNamespace({ namespace }).catch((error: unknown) => error)
  const isMissing = answer instanceof Error && 'code' in answer && answer.code === NOT_FOUND
  if (!isMissing) return
  throw failure('TemporalUnreachable', `Temporal at ${where} has no namespace ${namespace}`, answer, {
    hint: 'set TEMPORAL_NAMESPACE to one that it has',
  })
}

/** Connects to a dev server of this machine, whatever variables and profiles say of other servers. Throws `TemporalUnreachable`. */
export async function connectLocal(address: string): Promise<Engine> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: CONNECT_TIMEOUT_MS })
    const namespace = 'default'
    return {
      client: new Client({ connection, namespace, ...encryption() }),
      address,
      namespace,
      close: () => connection.close(),
    }
  } catch (error) {
    throw failure('TemporalUnreachable', `cannot reach Temporal at ${address}: ${messageOf(error)}`, error)
  }
}

/** Whether a variable or a profile says where Temporal is; if not, a dev server of this machine may be used. */
export const isTemporalConfigured = (): boolean => temporalSettings().connectionOptions.address !== undefined
