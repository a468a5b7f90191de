import { readFile } from 'node:fs/promises'
import { createServer, connect as dial, isIP, type Server, type Socket } from 'node:net'
import { connect as dialTls, type ConnectionOptions } from 'node:tls'
import { failure, messageOf } from '../../domain/failures.js'
import { sslChoices } from './session.js'
import type { Target } from './target.js'
import { CANCEL_REQUEST, databaseAsked, fatal, GSS_REQUEST, MessageReader, SSL_REQUEST, send } from './wire.js'

const ANSWERED_WITHIN_MS = 10_000
const NO_ANSWER = `the server did not answer within ${ANSWERED_WITHIN_MS / 1_000} s`
const KEEP_ALIVE_MS = 10_000

/** What tools connect to in place of a database. */
export interface DatabaseProxy {
  /** The same database, by way of the proxy. */
  readonly target: Target
  /** Connections that are open now. */
  readonly open: () => number
  /** Ends every session. */
  close(): Promise<void>
}

/**
 * What is to be done with a session whose client has said who it is. `first`: its startup message, which the server has not
 * had yet; `read`: what came behind it.
 */
export type Carry = (client: Socket, server: Socket, began: { first: Buffer; read: MessageReader }) => void

/** Listens on loopback. Who asks for another database is sent away; a cancel is handed on. */
export async function startProxy(target: Target, carry: Carry): Promise<DatabaseProxy> {
  const open = new Set<Socket>()
  const onward = new Set<Socket>()
  const server = createServer((client) => {
    kept(open, client)
    // A tool says what it is told.
    void serve(client, target, onward, carry).catch((error: unknown) => turnAway(client, '08006', messageOf(error)))
  })
  const port = await listening(server)
  return {
    target: { ...target, host: '127.0.0.1', port, sslmode: 'disable', sslrootcert: undefined },
    open: () => open.size,
    close: async () => {
      for (const socket of [...open, ...onward]) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

function kept(all: Set<Socket>, socket: Socket): void {
  all.add(socket)
  socket.once('close', () => all.delete(socket))
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}

/** Answers what a client asks before it says who it is, then hands it over. */
async function serve(client: Socket, target: Target, onward: Set<Socket>, carry: Carry): Promise<void> {
  client.on('error', () => client.destroy())
  client.setNoDelay(true)
  const reader = new MessageReader()
  for (;;) {
    const first = await firstOf(client, reader)
    const code = first.readInt32BE(4)
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      client.write('N')
      continue
    }
    if (code !== CANCEL_REQUEST && databaseAsked(first) !== target.database) {
      turnAway(client, '3D000', `this is the way to database ${target.database} alone`)
      return
    }
    if (target.host.startsWith('/') && !(await isOwnUser(client))) {
      turnAway(client, '28000', "this is the way to the server's socket, for the user of headgate alone")
      return
    }
    const server = await dialled(target, (socket) => kept(onward, socket))
    if (client.destroyed) return void server.destroy()
    server.on('error', () => client.destroy())
    client.once('close', () => server.destroy())
    if (code !== CANCEL_REQUEST) return carry(client, server, { first, read: reader })
    server.write(first)
    // Nothing is answered to it.
    server.once('close', () => client.destroy())
    return
  }
}

function turnAway(client: Socket, code: string, why: string): void {
  if (client.writable) send(client, fatal(code, why))
  client.destroySoon()
}

/**
 * The server may know who comes to its socket by the user of the process (`peer`): by way of us everybody on the machine would be
 * our user. Linux tells whose a connection is (proc_pid_net(5), `/proc/net/tcp`); where nobody does it is nobody's.
 */
async function isOwnUser({ remotePort, localPort }: Socket): Promise<boolean> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'latin1').catch(() => '')),
  )
  const [from, to] = [remotePort, localPort].map(
    (port) => `:${(port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`,
  )
  const owners = tables
    .flatMap((table) => table.split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, local = '', remote = '', state]) =>
        local.endsWith(LOOPBACK + from) && remote.endsWith(LOOPBACK + to) && state === ESTABLISHED,
    )
    .map((columns) => Number(columns[UID_COLUMN]))
  return owners.length === 1 && owners[0] === process.getuid?.()
}

/** 127.0.0.1 as the kernel writes it: alone, or at the end of an address of IPv6. */
const LOOPBACK = '0100007F'
/** What somebody has left already belongs to nobody. */
const ESTABLISHED = '01'
const UID_COLUMN = 7

function firstOf(client: Socket, reader: MessageReader): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      client.off('data', add)
      client.off('close', gone)
      // Until somebody listens again.
      client.pause()
    }
    const look = (): void => {
      const first = reader.first()
      if (first === undefined) return
      done()
      resolve(first)
    }
    const add = (bytes: Buffer): void => {
      reader.add(bytes)
      try {
        look()
      } catch (error) {
        done()
        reject(error)
      }
    }
    const gone = (): void => reject(failure('DatabaseUnreachable', 'the client left'))
    client.on('data', add)
    client.once('close', gone)
    client.resume()
    look()
  })
}

/** As libpq would for the target's `sslmode`. */
async function dialled(target: Target, dialling: (socket: Socket) => void): Promise<Socket> {
  const [ssl = false, ...rest] = await sslChoices(target)
  const plain = target.host.startsWith('/')
    ? dial(`${target.host}/.s.PGSQL.${target.port}`)
    : dial({ host: target.host, port: target.port })
  dialling(plain)
  const inTime = setTimeout(() => plain.destroy(failure('DatabaseUnreachable', NO_ANSWER)), ANSWERED_WITHIN_MS)
  plain.once('close', () => clearTimeout(inTime))
  await connected(plain)
  plain.setNoDelay(true)
  plain.setKeepAlive(true, KEEP_ALIVE_MS)
  try {
    return await greeted(plain, target, [ssl, ...rest])
  } finally {
    clearTimeout(inTime)
  }
}

/** The server's socket once it is agreed whether it speaks TLS. */
async function greeted(
  plain: Socket,
  target: Target,
  [ssl = false, ...rest]: Awaited<ReturnType<typeof sslChoices>>,
): Promise<Socket> {
  if (ssl === false) return plain
  const request = Buffer.alloc(8)
  request.writeInt32BE(8, 0)
  request.writeInt32BE(SSL_REQUEST, 4)
  plain.write(request)
  const answer = await new Promise<string>((resolve, reject) => {
    plain.once('data', (bytes) => resolve(bytes.toString('latin1', 0, 1)))
    plain.once('error', reject)
    plain.once('close', () => reject(failure('DatabaseUnreachable', 'the server closed the connection')))
  })
  if (answer === 'S') {
    const options: ConnectionOptions = typeof ssl === 'object' ? ssl : {}
    const { host } = target
    // An address is no name that a server could be told.
    const name = isIP(host) === 0 ? { servername: host } : {}
    return connected(dialTls({ ...options, socket: plain, host, ...name }), 'secureConnect')
  }
  if (rest.includes(false)) return plain
  plain.destroy()
  throw failure('DatabaseUnreachable', 'the server does not support SSL connections')
}

function connected<S extends Socket>(socket: S, event = 'connect'): Promise<S> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve(socket))
    socket.once('error', reject)
  })
}
