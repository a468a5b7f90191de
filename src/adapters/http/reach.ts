import { once } from 'node:events'
import { connect, isIP } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { messageOf } from '../../domain/failures.js'
import { withDeadline } from '../process/deadline.js'
import { leadsAstray } from './address.js'

/**
 * Throws why a URL's server, which is named `what`, takes no connection, or shows a certificate that is not good. Nothing is
 * asked of it.
 */
export async function reach(what: string, url: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const { hostname, protocol, port } = new URL(url)
  const bounded = withDeadline(signal, timeoutMs)
  const host = hostname.replace(/^\[|\]$/g, '')
  if (await leadsAstray(host).catch(() => false)) throw new Error(`${what}: a link-local address is never asked`)
  const isSecure = protocol === 'https:'
  const place = { host, port: Number(port || (isSecure ? 443 : 80)) }
  const socket = isSecure ? connectSecurely({ ...place, servername: isIP(host) ? '' : host }) : connect(place)
  try {
    await once(socket, isSecure ? 'secureConnect' : 'connect', { signal: bounded })
  } catch (error) {
    signal.throwIfAborted()
    throw new Error(`${what}: ${bounded.aborted ? `no answer within ${timeoutMs} ms` : messageOf(error)}`)
  } finally {
    socket.destroy()
  }
}
