import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import type { MeasuredStatement } from '../../domain/rehearsal.js'
import { startProxy } from './proxy.js'
import { ProxiedSession } from './proxied-session.js'
import type { Statement } from './sql-statements.js'
import { StatementProfile } from './statement-profile.js'
import type { Target } from './target.js'

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
 * Hands everything on to the database, as it is; between two statements it asks the session itself what it has locked. Who asks
 * for another database is not counted; a statement that `refuse` has something to say of fails with that. `watch` is a session of our own on that database: it sees what happens outside of transactions.
 */
export async function startStatementProxy(
  target: Target,
  watch: Client,
  refuse: (statement: Statement) => string | undefined = () => undefined,
): Promise<StatementProxy> {
  const profile = new StatementProfile()
  let sessions = 0
  const proxy = await startProxy(target, (client, server, { read, first }) => {
    sessions++
    server.write(first)
    new ProxiedSession(client, { profile: profile.session(), watch, refuse }).carry(server, read)
  })
  return {
    target: proxy.target,
    sessions: () => sessions,
    begin: () => profile.begin(watch),
    take: () => profile.take(),
    idle: async () => {
      for (const since = performance.now(); proxy.open() > 0 && performance.now() - since < IDLE_WITHIN_MS; )
        await pause(IDLE_LOOK_MS)
    },
    close: () => proxy.close(),
  }
}
