import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as dialTls, type ConnectionOptions } from 'node:tls'
import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { MeasuredStatement } from '../../domain/rehearsal.js'
import { sslChoices } from './session.js'
import { ProxiedSession } from './proxied-session.js'
import type { Statement } from './sql-statements.js'
import { StatementProfile } from './statement-profile.js'
import type { Target } from './target.js'
import { CANCEL_REQUEST, databaseAsked, fatal, GSS_REQUEST, MessageReader, SSL_REQUEST, send } from './wire.js'

/** A tool's session ends a moment after the tool. */
const IDLE_WITHIN_MS = 5_000
const IDLE_LOOK_MS = 10

/** What tools connect to in place of a database, so that each of their statements is measured. */
export interface StatementProxy {
  /** The same database, by way of the proxy. */
  readonly target: Target
  /** Sessions that came so far. */
  readonly sessions: () => number
  /** What is there now is what locks are told of from here on. */
  begin(): Promise<void>
  /** What has ended since then. */
  take(): MeasuredStatement[]
  /** Resolves when the sessions of a tool that has ended are gone, or after a moment. */
  idle(): Promise<void>
  /** Ends every session. */
  close(): Promise<void>
}

/**
 * Listens on loopback and hands everything on to the database, as it is; between two statements it asks the session itself
 * what it has locked. Whoever asks for another database is sent away, and is not counted; a statement that `refuse` has something to
 * say of fails with that. `watch` is a session of our own on that database: it sees what happens outside of transactions.
 */
export async function startStatementProxy(
  target: Target,
  watch: Client,
  refuse: (statement: Statement) => string | undefined = () => undefined,
): Promise<StatementProxy> {
  const profile = new StatementProfile()
  const open = new Set<Socket>()
  let sessions = 0
  const server = createServer((client) => {
    open.add(client)
    client.once('close', () => open.delete(client))
    void serve(client, target, () => {
      sessions++
      return new ProxiedSession(client, { profile: profile.session(), watch, refuse })
    }).catch(() => client.destroy())
  })
  const port = await listening(server)
  return {
    target: { ...target, host: '127.0.0.1', port, sslmode: 'disable', sslrootcert: undefined },
    sessions: () => sessions,
    begin: () => profile.begin(watch),
    take: () => profile.take(),
    idle: async () => {
      for (const since = performance.now(); open.size > 0 && performance.now() - since < IDLE_WITHIN_MS; )
        await pause(IDLE_LOOK_MS)
    },
    close: async () => {
      for (const socket of open) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
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
async function serve(client: Socket, target: Target, begin: () => ProxiedSession): Promise<void> {
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
      send(client, fatal('3D000', `this is the way to database ${target.database} alone`))
      client.end()
      return
    }
    const server = await dialled(target)
    if (client.destroyed) return void server.destroy()
    server.on('error', () => client.destroy())
    client.once('close', () => server.destroy())
    server.write(first)
    // Nothing is answered to it.
    if (code === CANCEL_REQUEST) return void server.once('close', () => client.destroy())
    return begin().carry(server, reader)
  }
}

function firstOf(client: Socket, reader: MessageReader): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const first = reader.first()
      if (first === undefined) return
      client.off('data', add)
      client.off('close', gone)
      resolve(first)
    }
    const add = (bytes: Buffer): void => {
      reader.add(bytes)
      look()
    }
    const gone = (): void => reject(failure('DatabaseUnreachable', 'the client left'))
    client.on('data', add)
    client.once('close', gone)
    look()
  })
}

/** As libpq would for the target's `sslmode`. */
async function dialled(target: Target): Promise<Socket> {
  const [ssl = false, ...rest] = await sslChoices(target)
  const plain = await connected(
    target.host.startsWith('/')
      ? dial(`${target.host}/.s.PGSQL.${target.port}`)
      : dial({ host: target.host, port: target.port }),
  )
  plain.setNoDelay(true)
  if (ssl === false) return plain
  const request = Buffer.alloc(8)
  request.writeInt32BE(8, 0)
  request.writeInt32BE(SSL_REQUEST, 4)
  plain.write(request)
  const answer = await new Promise<string>((resolve, reject) => {
    plain.once('data', (bytes) => resolve(bytes.toString('latin1', 0, 1)))
    plain.once('close', () => reject(failure('DatabaseUnreachable', 'the server closed the connection')))
  })
  if (answer === 'S') {
    const options: ConnectionOptions = typeof ssl === 'object' ? ssl : {}
    return connected(dialTls({ ...options, socket: plain, servername: target.host }), 'secureConnect')
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
