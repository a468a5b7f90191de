import { readFile } from 'node:fs/promises'
import { failure } from '../../domain/failures.js'
import { isTransactional } from '../../domain/migration.js'
import { textOf } from './migration-folder.js'
import { leadingComment, splitStatements } from '../postgres/sql-statements.js'
import { isTransactionControl, waitsQuietly } from '../postgres/statement-kind.js'
import type { RequestedFile } from './umzug-protocol.js'
import { callExport, failed, guardedQuery, inTransaction, plannedText, type UmzugSession } from './umzug-session.js'

/** Applies a migration and records it in one transaction, which starts anew when it does not get its locks. */
export async function applyInTransaction(run: UmzugSession, file: RequestedFile): Promise<void> {
  const text = await plannedText(file)
  const isSql = file.path.endsWith('.sql')
  await attempt(run, file.version, file.path, text, isSql, async () => {
    if (!run.ledgerExists) await run.ledger.create()
    await run.ledger.add(file, false)
    if (isSql) await run.session.query(text)
    else await callExport(file.path, 'up', guardedQuery(run.session))
  })
  run.ledgerExists = true
}

/** Undoes a migration and forgets it in one transaction. */
export async function undoInTransaction(run: UmzugSession, { version, downPath }: RequestedFile): Promise<void> {
  if (downPath === undefined) throw failure('PlanInvalid', `there is no way down from ${version}`)
  const text = textOf(await readFile(downPath), downPath)
  const isSql = downPath.endsWith('.sql')
  if (isSql) refuseOutside(text, downPath)
  await attempt(run, version, downPath, text, isSql, async () => {
    await run.ledger.remove(version)
    if (isSql) await run.session.query(text)
    else await callExport(downPath, 'down', guardedQuery(run.session))
  })
}

function refuseOutside(text: string, path: string): void {
  if (!isTransactional(leadingComment(text)))
    throw failure('PlanInvalid', `${path} cannot be undone in one transaction: undo it by a new migration`)
  const control = splitStatements(text).find(isTransactionControl)
  if (control)
    throw failure(
      'PlanInvalid',
      `${path}, line ${control.line}: "${control.words}" would break the transaction around it`,
    )
}

async function attempt(
  { session, locks }: UmzugSession,
  version: string,
  path: string,
  text: string,
  isSql: boolean,
  work: () => Promise<void>,
): Promise<void> {
  const statements = isSql ? splitStatements(text) : []
  const isQuiet = statements.length > 0 && statements.every(waitsQuietly)
  try {
    await locks.retry(version, () =>
      inTransaction(session, async () => {
        if (isQuiet) await session.query('set local lock_timeout = 0')
        await work()
      }),
    )
  } catch (error) {
    throw failed(version, path, error, isSql ? { sql: text, line: 1 } : undefined)
  }
}
