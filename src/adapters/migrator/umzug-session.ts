import { readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Client, DatabaseError, QueryResult } from 'pg'
import { failure, knownFailure } from '../../domain/failures.js'
import { sqlState } from '../postgres/session.js'
import { isLockFailure, type LockBudget } from './lock-budget.js'
import { textOf } from './migration-folder.js'
import { lineAt, splitStatements } from '../postgres/sql-statements.js'
import { isTransactionControl } from '../postgres/statement-kind.js'
import type { UmzugLedger } from './umzug-ledger.js'
import type { RequestedFile } from './umzug-protocol.js'

/** What the migrations of one call share. */
export interface UmzugSession {
  session: Client
  ledger: UmzugLedger
  /** Whether the ledger's table is there; it is made together with what is written into it first. */
  ledgerExists: boolean
  /** Its row is dirty since before this plan, and stays so where nothing of it can be done. */
  halfDone: string | undefined
  locks: LockBudget
}

/** Runs `work` in a transaction. The server's answer to `commit` counts: after a failed statement it is a rollback. */
export async function inTransaction<T>(session: Client, work: () => Promise<T>): Promise<T> {
  await session.query('begin')
  try {
    const result = await work()
    const { command } = await session.query('commit')
    if (command !== 'COMMIT')
      throw failure('MigrationFailed', 'the server rolled it back: a statement in it had failed')
    return result
  } catch (error) {
    await session.query('rollback').catch(() => {})
    throw error
  }
}

/** The file's text, as it is executed. Throws `PlanStale` when it is not the file that was planned. */
export async function plannedText({ path, checksum }: RequestedFile): Promise<string> {
  const bytes = await readFile(path)
  if (createHash('sha256').update(bytes).digest('hex') === checksum) return textOf(bytes, path)
  throw failure(
    'PlanStale',
    `${path} was edited since the plan was made: put back the file that was planned, or deploy again`,
  )
}

export type Query = (sql: string, values?: unknown[]) => Promise<QueryResult>

/** Calls what a `.ts`, `.js` or `.mjs` file exports as `up` or `down`. Throws `PlanInvalid` when it exports none. */
export async function callExport(path: string, name: 'up' | 'down', query: Query): Promise<void> {
  const loaded: unknown = await import(pathToFileURL(path).href)
  const found = memberOf(loaded, name) ?? memberOf(memberOf(loaded, 'default'), name)
  if (typeof found !== 'function') throw failure('PlanInvalid', `${path} does not export a function ${name}`)
  await found({ query, name: basename(path), context: { query } })
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined

/** Queries of a migration whose transaction is ours: it must not end it. */
export const guardedQuery = (session: Client): Query => {
  return (sql, values) => {
    const control = splitStatements(sql).find(isTransactionControl)
    if (control) throw failure('MigrationFailed', `"${control.words}" would end the transaction around the migration`)
    return session.query(sql, values)
  }
}

/** The failure of a migration, in the server's words, with the line where the server names one. */
export function failed(
  version: string,
  path: string,
  error: unknown,
  at: { sql: string; line: number } | undefined,
): Error {
  const known = knownFailure(error)
  if (known) return failure(known.code, known.message, error, known.detail)
  const code = isLockFailure(error) ? 'MigrationBlocked' : 'MigrationFailed'
  const state = sqlState(error)
  const message = error instanceof Error ? error.message : String(error)
  const line = at && lineOf(error, at)
  return failure(
    code,
    `${version}: ${message}${state ? ` (${state})` : ''}${line ? `, ${basename(path)} line ${line}` : ''}`,
    error,
  )
}

function lineOf(error: unknown, { sql, line }: { sql: string; line: number }): number {
  const position = isDatabaseError(error) ? Number(error.position ?? 0) : 0
  return position > 0 ? line + lineAt(sql, position - 1) - 1 : line
}

const isDatabaseError = (error: unknown): error is DatabaseError => error instanceof Error && 'position' in error
