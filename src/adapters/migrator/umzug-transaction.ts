import { readFile } from 'node:fs/promises'
import { failure } from '../../domain/failures.js'
import { requireInside, textOf } from './migration-folder.js'
import { splitStatements } from '../postgres/sql-statements.js'
import { waitsQuietly } from '../postgres/statement-kind.js'
import type { RequestedFile } from './umzug-protocol.js'
import { callExport, failed, guardedQuery, inTransaction, plannedText, type UmzugSession } from './umzug-session.js'

/** Applies a migration and records it in one transaction, which starts anew when it does not get its locks. */
export async function applyInTransaction(run: UmzugSession, file: RequestedFile): Promise<void> {
  const text = await plannedText(file)
  const isSql = file.path.endsWith('.sql')
  await attempt(run, file.version, file.path, text, isSql, async () => {
    if (!run.ledgerExists) await run.ledger.create()
    if (run.halfDone === file.version) await run.ledger.remove(file.version)
    await run.ledger.add(file, false)
    if (isSql) await run.session.query(text)
    else await callExport(file.path, 'up', guardedQuery(run.session))
  })
  run.ledgerExists = true
}

/** Undoes a migration and forgets it in one transaction. `planned`: the checksum of its way down. */
export async function undoInTransaction(
  run: UmzugSession,
  { version, downPath, ...file }: RequestedFile,
  planned: string | undefined,
): Promise<void> {
  if (downPath === undefined) throw failure('PlanInvalid', `there is no way down from ${version}`)
  const text =
    planned === undefined
      ? textOf(await readFile(downPath), downPath)
      : await plannedText({ ...file, version, path: downPath, checksum: planned })
  const isSql = downPath.endsWith('.sql')
  if (isSql) requireInside(text, downPath)
  await attempt(run, version, downPath, text, isSql, async () => {
    await run.ledger.remove(version)
    if (isSql) await run.session.query(text)
    else await callExport(downPath, 'down', guardedQuery(run.session))
  })
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
