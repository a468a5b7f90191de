import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import type { Fingerprint, Manifest } from '../../domain/manifest.js'
import { fingerprint, fingerprintDifferences } from '../postgres/data-fingerprint.js'
import { applyProperties } from '../postgres/database-properties.js'
import { endSessions, reopenDatabase, closeDatabase } from '../postgres/gate.js'
import { quoteIdentifier, whileAllowed, withSession } from '../postgres/session.js'
import { type Target, withDatabase } from '../postgres/target.js'
import type { BackupStore } from '../store/port.js'
import { asFailure } from './as-failure.js'
import { createLike } from './create-like.js'
import { type DumpPrograms, requireVersion, restoreInto } from './dump-programs.js'
import { readFacts, requireFacts, requireSameDatabase } from './facts.js'
import { dropOwn } from './scratch.js'

export interface RestoreOptions extends DumpPrograms {
  target: Target
  controlTarget: Target
  store: BackupStore
}

export interface Beside {
  database: string
  elsewhere: boolean
}

const END_WITHIN_MS = 10_000
const SHOWN_DIFFERENCES = 50

/** Restores a dump, whose bytes are verified, into the new database and proves it equal to the manifest. It ends closed, with the properties of the original. */
export async function restoreBeside(
  options: RestoreOptions,
  control: Client,
  manifest: Manifest,
  beside: Beside,
  fence: Fence,
): Promise<string> {
  const { database, elsewhere } = beside
  if (!elsewhere) await requireSameDatabase(control, manifest, options.target.database)
  const server = await requireFacts(control, options.target.database)
  await requireVersion(options, 'pg_restore', server, fence.signal)
  const folder = await options.store.folderOf(manifest)
  if (!elsewhere) await dropOwn(control, database, fence)
  else if (await readFacts(control, database)) throw failure('RestoreFailed', `database ${database} exists already`)
  let isMade = false
  try {
    await fence.check()
    await createLike(control, options.target.database, database)
    isMade = true
    await fill(options, control, folder, database, server.serverMajor, fence)
    await prove(options, control, manifest, database, fence)
    return database
  } catch (error) {
    if (isMade && !fence.signal.aborted) await dropMade(control, beside, fence).catch(() => {})
    throw asFailure('RestoreFailed', `cannot restore backup ${manifest.name} into ${database}`, error, fence.signal)
  }
}

/** Nobody but its owner is let in while it fills. */
async function fill(
  options: RestoreOptions,
  control: Client,
  folder: string,
  database: string,
  serverMajor: number,
  fence: Fence,
): Promise<void> {
  const target = withDatabase(options.controlTarget, database)
  await fence.check()
  await control.query(`revoke all on database ${quoteIdentifier(database)} from public`)
  await reopenDatabase(control, database, fence)
  fence.progress(`restore into ${database}`)
  const stop = sizing(control, database, fence)
  await restoreInto(options, folder, { target, serverMajor }, fence).finally(stop)
}

/** A dump carries no planner statistics before version 18, and no database-level properties. */
async function prove(
  options: RestoreOptions,
  control: Client,
  manifest: Manifest,
  database: string,
  fence: Fence,
): Promise<void> {
  const as = { applicationName: fence.applicationName, statementTimeoutMs: 0 }
  const found = await withSession(withDatabase(options.controlTarget, database), as, async (session) => {
    await closeDatabase(control, database, fence)
    fence.progress(`analyze ${database}`)
    await fence.check()
    await whileAllowed(session, fence.signal, () => session.query('analyze'))
    await applyProperties(control, manifest.properties, database, fence)
    fence.progress(`compare ${database} with the manifest`)
    return fingerprint(session, { rows: 'hash', signal: fence.signal })
  })
  await endSessions(control, database, { withinMs: END_WITHIN_MS }, fence)
  requireEqual(manifest, found)
}

function requireEqual(manifest: Manifest, found: Fingerprint): void {
  const differences = fingerprintDifferences(
    comparable(manifest, manifest.fingerprint),
    comparable(manifest, found),
    'dump',
  )
  if (differences.length === 0) return
  const what = `what backup ${manifest.name} restores is not what its manifest says`
  throw failure(
    'BackupDamaged',
    `${what}: ${differences.length} differences, the first: ${differences[0]}`,
    undefined,
    {
      evidence: differences.slice(0, SHOWN_DIFFERENCES).join('\n'),
    },
  )
}

/** Sequences move while an open database is dumped, and are in no snapshot. */
const comparable = ({ gate }: Manifest, state: Fingerprint): Fingerprint =>
  gate === 'closed' ? state : { ...state, sequences: {} }

const PROGRESS_MS = 2_000

function sizing(control: Client, database: string, fence: Fence): () => void {
  const tell = async (): Promise<void> => {
    const facts = await readFacts(control, database)
    fence.progress(`restore into ${database}, ${facts?.bytes ?? 0} bytes`)
  }
  const timer = setInterval(() => void tell().catch(() => {}), PROGRESS_MS)
  return () => clearInterval(timer)
}

/** A database of any name, made in this very call, may be dropped by it. */
async function dropMade(control: Client, { database, elsewhere }: Beside, fence: Fence): Promise<void> {
  if (!elsewhere) return dropOwn(control, database, fence)
  await closeDatabase(control, database, fence)
  await endSessions(control, database, { withinMs: END_WITHIN_MS }, fence)
  await fence.check()
  await control.query(`drop database if exists ${quoteIdentifier(database)}`)
}
