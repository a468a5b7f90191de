import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { Client } from 'pg'
import type { Umzug } from 'umzug'
import { failure, knownFailure, messageOf } from '../../domain/failures.js'
import { ownSession } from '../postgres/account.js'
import { openSession, type SessionOptions, sqlState } from '../postgres/session.js'
import type { Target } from '../postgres/target.js'
import { LockBudget } from './lock-budget.js'
import { pendingVersions, versionsToUndo } from './pending.js'
import { readUmzugLedger, UmzugLedger } from './umzug-ledger.js'
import { ANSWERS_FD, type RequestedFile, UmzugEvent, UmzugRequest } from './umzug-protocol.js'
import type { UmzugSession } from './umzug-session.js'
import { applyOutside } from './umzug-statements.js'
import { applyInTransaction, undoInTransaction } from './umzug-transaction.js'

const answers = new Socket({ fd: ANSWERS_FD, readable: true, writable: false })
const answered = createInterface({ input: answers })[Symbol.asyncIterator]()

/** Migrations run in a process of their own, so that a lost fence ends them: the parent knows this program by its events. */
async function main(): Promise<void> {
  const request = UmzugRequest.parse(JSON.parse(await text(process.stdin)))
  const target = targetOfEnvironment(process.env)
  const applicationName = process.env.PGAPPNAME ?? ''
  const { lockTimeoutMs, statementTimeoutMs } = request
  const open = async (options: Omit<SessionOptions, 'applicationName'>): Promise<Client> => {
    const opened = await openSession(target, { applicationName, ...options })
    try {
      tell({ event: 'session', session: await ownSession(opened) })
      if ((await answered.next()).done)
        throw failure('Unexpected', 'whoever began this migration does not hold the fence')
      return opened
    } catch (error) {
      await opened.end().catch(() => {})
      throw error
    }
  }
  const session = await open({ lockTimeoutMs, statementTimeoutMs })
  session.on('notice', (notice) => process.stderr.write(`${notice.message}\n`))
  try {
    await migrate(request, session, () => open({ readOnly: true }))
  } finally {
    await session.end().catch(() => {})
  }
}

async function migrate(request: UmzugRequest, session: Client, openWatch: () => Promise<Client>): Promise<void> {
  const { files, table, target, planned, halfDone, direction, lockBudgetMs } = request
  const ledger = await readUmzugLedger(session, table)
  const versions =
    direction === 'up'
      ? pendingVersions({ files, ledger, target, planned, isLinear: true, stopsAtTarget: true })
      : versionsToUndo(files, ledger, target)
  const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
  let running = ''
  const run: UmzugSession = {
    session,
    ledger: new UmzugLedger(session, table),
    ledgerExists: ledger.exists,
    halfDone,
    locks: new LockBudget({
      backend: rows[0]?.pid ?? 0,
      budgetMs: lockBudgetMs,
      openWatch,
      say: (blockers) => tell({ event: 'waiting', version: running, blockers }),
    }),
  }
  if (versions.length === 0) return
  const umzug = await umzugOf(
    files,
    planned,
    run,
    ledger.applied.map(({ version }) => version),
  )
  const started = ({ name }: { name: string }): void => {
    running = name
    tell({ event: 'started', version: name })
  }
  const finished = async ({ name }: { name: string }): Promise<void> => {
    tell({ event: 'finished', version: name })
    // What a file has set for itself must not reach the next one.
    await session.query('discard all')
  }
  umzug.on('migrating', started)
  umzug.on('reverting', started)
  umzug.on('migrated', finished)
  umzug.on('reverted', finished)
  await (direction === 'up' ? umzug.up({ migrations: versions }) : umzug.down({ migrations: versions }))
}

/** Loaded only where something is to be done: it brings a command line of its own, which takes longer than looking. */
async function umzugOf(
  files: RequestedFile[],
  planned: UmzugRequest['planned'],
  run: UmzugSession,
  applied: string[],
): Promise<Umzug<UmzugSession>> {
  const { Umzug } = await import('umzug')
  return new Umzug({
    context: run,
    logger: undefined,
    migrations: files.map((file) => ({
      name: file.version,
      path: file.path,
      up: () => (file.transactional ? applyInTransaction(run, file) : applyOutside(run, file)),
      down: () => undoInTransaction(run, file, planned.find(({ version }) => version === file.version)?.checksum),
    })),
    // Each migration writes the ledger itself: in its own transaction, which is over when umzug would log it.
    storage: { executed: async () => applied, logMigration: async () => {}, unlogMigration: async () => {} },
  })
}

const targetOfEnvironment = (env: NodeJS.ProcessEnv): Target => ({
  host: env.PGHOST ?? '',
  port: Number(env.PGPORT),
  database: env.PGDATABASE ?? '',
  user: env.PGUSER ?? '',
  password: env.PGPASSWORD,
  sslmode: env.PGSSLMODE,
  sslrootcert: env.PGSSLROOTCERT,
})

/** On a line of its own, whatever a migration has printed before. */
const tell = (event: UmzugEvent): void => void process.stdout.write(`\n${JSON.stringify(event)}\n`)

function tellFailure(error: unknown): void {
  const known = knownFailure(error) ?? { code: 'MigrationFailed', message: messageOf(error), detail: {} }
  const parsed = UmzugEvent.safeParse({
    event: 'failed',
    code: known.code,
    message: known.message,
    sqlstate: sqlState(causeOf(error)) || undefined,
    ...known.detail,
  })
  tell(parsed.success ? parsed.data : { event: 'failed', code: 'Unexpected', message: known.message })
}

/** The innermost error: the server's own, where there is one. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? causeOf(error.cause) : error
}

await main()
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    tellFailure(error)
    process.exitCode = 1
  })
  // Open, they would keep the process.
  .finally(() => answers.destroy())
