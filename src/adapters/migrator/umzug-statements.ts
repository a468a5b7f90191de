import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import { sqlState } from '../postgres/session.js'
import { dropIndex, setting, stateOfIndex } from './concurrent-index.js'
import { splitStatements, type Statement } from '../postgres/sql-statements.js'
import {
  concurrentIndexOf,
  droppedIndexOf,
  isRepeatable,
  isTransactionControl,
  mustRunAlone,
  waitsQuietly,
} from '../postgres/statement-kind.js'
import type { Progress } from './umzug-ledger.js'
import type { RequestedFile } from './umzug-protocol.js'
import { callExport, failed, inTransaction, plannedText, type UmzugSession } from './umzug-session.js'

/** active_sql_transaction, invalid_transaction_termination: the statement wants no transaction around it, and nothing of it happened. */
const WANTS_NO_TRANSACTION = new Set(['25001', '2D000'])

/**
 * Applies a migration that cannot run in one transaction. Its ledger row is dirty until the end and counts the statements
 * that are done, so that another attempt goes on where this one stopped. Throws `StateUnexpected` when it cannot be known
 * whether a statement has happened.
 */
export async function applyOutside(run: UmzugSession, file: RequestedFile): Promise<void> {
  const text = await plannedText(file)
  const wasThere = run.ledgerExists
  const begun = await begin(run, file)
  if (file.path.endsWith('.sql')) await applyStatements(run, file, splitStatements(text), begun, wasThere)
  else await applyExport(run, file, begun)
  await run.ledger.finish(file.version)
}

async function begin(run: UmzugSession, file: RequestedFile): Promise<Progress> {
  if (!run.ledgerExists) await run.ledger.create()
  run.ledgerExists = true
  const earlier = await run.ledger.progressOf(file.version)
  if (earlier && earlier.checksum === file.checksum) return earlier
  if (earlier)
    throw failure(
      'StateUnexpected',
      `${file.version} is half applied (${earlier.done} statements) and its file was edited since`,
    )
  await run.ledger.add(file, true)
  return { done: 0, tried: 0 }
}

/** What a function did before it was interrupted cannot be seen: it runs once. */
async function applyExport({ session, ledger }: UmzugSession, file: RequestedFile, { tried }: Progress): Promise<void> {
  if (tried > 0)
    throw failure('StateUnexpected', `${file.version} was begun before, without a transaction, and did not finish`)
  await ledger.setProgress(file.version, { done: 0, tried: 1 })
  try {
    await callExport(file.path, 'up', (sql, values) => session.query(sql, values))
  } catch (error) {
    throw failed(file.version, file.path, error, undefined)
  }
}

async function applyStatements(
  run: UmzugSession,
  file: RequestedFile,
  statements: Statement[],
  begun: Progress,
  wasThere: boolean,
): Promise<void> {
  const ownTransactions = statements.some(isTransactionControl)
  const progress = { ...begun }
  for (const [index, statement] of statements.entries()) {
    if (index < progress.done) continue
    try {
      const isDone = progress.tried === index + 1 && (await settleEarlierTry(run.session, file, statement))
      if (!isDone) await applyStatement(run, file, statement, index, ownTransactions, progress)
      progress.done = index + 1
      await run.ledger.setProgress(file.version, progress)
    } catch (error) {
      if (progress.done === 0 && run.halfDone !== file.version) await forgetWhereNothingHappened(run, file, wasThere)
      throw failed(file.version, file.path, error, statement)
    }
  }
}

/** In a transaction together with its count, where the server lets it; else alone. */
async function applyStatement(
  run: UmzugSession,
  file: RequestedFile,
  statement: Statement,
  index: number,
  ownTransactions: boolean,
  progress: Progress,
): Promise<void> {
  if (!ownTransactions && !mustRunAlone(statement)) {
    try {
      return await run.locks.retry(file.version, () =>
        inTransaction(run.session, async () => {
          await run.ledger.setProgress(file.version, { done: index + 1, tried: 0 })
          if (waitsQuietly(statement)) await run.session.query('set local lock_timeout = 0')
          await run.session.query(statement.sql)
        }),
      )
    } catch (error) {
      if (!WANTS_NO_TRANSACTION.has(sqlState(error))) throw error
    }
  }
  progress.tried = index + 1
  await run.ledger.setProgress(file.version, progress)
  await runAlone(run, file, statement)
}

async function runAlone(run: UmzugSession, file: RequestedFile, statement: Statement): Promise<void> {
  const { session } = run
  const before = await stateOfIndex(session, statement)
  const quiet = waitsQuietly(statement)
  const asked = quiet ? await setting(session, 'lock_timeout') : ''
  try {
    if (quiet) await session.query('set lock_timeout = 0')
    await session.query(statement.sql)
  } catch (error) {
    if (before === 'none' && (await stateOfIndex(session, statement)) === 'invalid') await dropIndex(session, statement)
    const nothingHappened =
      concurrentIndexOf(statement) !== undefined && (await stateOfIndex(session, statement)) === before
    if (nothingHappened) await withdrawTry(run, file)
    throw error
  } finally {
    if (quiet) await session.query(`select set_config('lock_timeout', $1, false)`, [asked]).catch(() => {})
  }
  if ((await stateOfIndex(session, statement)) === 'invalid')
    throw failure(
      'MigrationFailed',
      `${file.version}: the index ${concurrentIndexOf(statement)?.index} was there before and is invalid: drop it`,
    )
}

async function withdrawTry({ ledger }: UmzugSession, file: RequestedFile): Promise<void> {
  const { done } = (await ledger.progressOf(file.version)) ?? { done: 0 }
  await ledger.setProgress(file.version, { done, tried: 0 })
}

/** The first statement failed and left nothing: the ledger then looks as it did before. */
async function forgetWhereNothingHappened(
  { session, ledger }: UmzugSession,
  file: RequestedFile,
  wasThere: boolean,
): Promise<void> {
  try {
    const now = await ledger.progressOf(file.version)
    if (!now || now.done > 0 || now.tried > 0) return
    await inTransaction(session, async () => {
      await ledger.remove(file.version)
      if (!wasThere) await ledger.dropIfEmpty()
    })
  } catch {
    // The session is gone with the statement: the row stays dirty, and the next attempt goes on from it.
  }
}

/** Whether a statement that an earlier attempt began alone has happened; cleans what it left when it has not. */
async function settleEarlierTry(session: Client, file: RequestedFile, statement: Statement): Promise<boolean> {
  const built = concurrentIndexOf(statement)
  if (built) {
    const state = await stateOfIndex(session, statement)
    if (state === 'invalid') await dropIndex(session, statement)
    return state === 'valid'
  }
  const dropped = droppedIndexOf(statement)
  if (dropped !== undefined)
    return (await session.query('select to_regclass($1) is null as gone', [dropped])).rows[0]?.gone === true
  if (isRepeatable(statement)) return false
  throw failure(
    'StateUnexpected',
    `${file.version}, line ${statement.line}: an earlier attempt began this statement without a transaction; whether it happened cannot be known`,
    undefined,
    { evidence: statement.sql },
  )
}
