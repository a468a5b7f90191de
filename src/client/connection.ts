import { Client, Connection } from '@temporalio/client'
import { loadClientConnectConfig } from '@temporalio/envconfig'
import { failure, messageOf } from '../domain/failures.js'

export interface Engine {
  client: Client
  address: string
  namespace: string
  close: () => Promise<void>
}

const CONNECT_TIMEOUT_MS = 5_000

/** Connects to Temporal as envconfig says (address, TLS, API key, profiles). `address` wins. Throws `TemporalUnreachable`. */
export async function connectEngine(address?: string): Promise<Engine> {
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig()
  const merged = {
    ...connectionOptions,
    ...(address === undefined ? {} : { address }),
    connectTimeout: CONNECT_TIMEOUT_MS,
  }
  const where = merged.address ?? 'localhost:7233'
  try {
    const connection = await Connection.connect(merged)
    return { client: new Client({ connection, namespace }), address: where, namespace, close: () => connection.close() }
  } catch (error) {
    throw failure('TemporalUnreachable', `cannot reach Temporal at ${where}: ${messageOf(error)}`, error)
  }
}

/** Connects to a dev server of this machine, whatever variables and profiles say of other servers. Throws `TemporalUnreachable`. */
export async function connectLocal(address: string): Promise<Engine> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: CONNECT_TIMEOUT_MS })
    const namespace = 'default'
    return { client: new Client({ connection, namespace }), address, namespace, close: () => connection.close() }
  } catch (error) {
    throw failure('TemporalUnreachable', `cannot reach Temporal at ${address}: ${messageOf(error)}`, error)
  }
}

/** Whether a variable or a profile says where Temporal is; if not, a dev server of this machine may be used. */
export const isTemporalConfigured = (): boolean => loadClientConnectConfig().connectionOptions.address !== undefined
