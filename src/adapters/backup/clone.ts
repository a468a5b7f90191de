import type { Client } from 'pg'
import { failedWith, failure, messageOf } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import type { Fingerprint, Manifest } from '../../domain/manifest.js'
import { cloneDatabase } from '../postgres/clone.js'
import { fingerprint, fingerprintDifferences } from '../postgres/data-fingerprint.js'
import { applyProperties, propertyStatements } from '../postgres/database-properties.js'
import { endOthers, endSessions } from '../postgres/gate.js'
import { quoteIdentifier, withSession } from '../postgres/session.js'
import { type Target, withDatabase } from '../postgres/target.js'
import { asFailure } from './as-failure.js'
import {
  countedSince,
  type Opening,
  requireNobodyCame,
  requireQuiet,
  withinClosed,
  writesIn,
} from './closed-database.js'
import { withControl } from './control.js'
import { readFacts, requireFacts, requireSameDatabase } from './facts.js'
import type { BackupEngine, BackupRequest } from './port.js'
import { dropOwn, dropReplaced, dropScratch, namesOfClone } from './scratch.js'

export interface CloneOptions {
  /** Reads everything. */
  target: Target
  /** Creates, renames and drops databases. Must be allowed into a database that lets the reader in. */
  controlTarget: Target
}

export interface CloneEngine extends BackupEngine {
  /** The manifest with a hash of each table's rows, read from the closed clone: some 3 s per GB, so outside of the pause. */
  withHashes(manifest: Manifest, signal: AbortSignal): Promise<Manifest>
}

const END_WITHIN_MS = 10_000
const LOOKING = 'headgate verify'
const SHOWN_DIFFERENCES = 50

/** Keeps the state as a second database of the same cluster, closed to everybody. */
export function createCloneEngine(options: CloneOptions): CloneEngine {
  const { controlTarget, target } = options
  return {
    kind: 'clone',
    take: (request, fence) =>
      withControl(controlTarget, fence.applicationName, (control) => take(options, control, request, fence)),
    verify: (manifest, signal) => verify(options, manifest, { signal }).then(() => {}),
    async restoreBeside(manifest, _beside, fence, { elsewhere = false } = {}) {
      if (elsewhere) throw failure('RestoreFailed', 'a clone can only take the place of the database it was made from')
      await verify(options, manifest, { signal: fence.signal, fence })
      return manifest.location
    },
    discard: (owner, fence) =>
      withControl(controlTarget, fence.applicationName, (control) =>
        dropScratch(control, target.database, owner, fence),
      ),
    drop: (manifest, fence) =>
      withControl(controlTarget, fence.applicationName, async (control) => {
        await requireSameDatabase(control, manifest, target.database)
        await dropOwn(control, manifest.location, fence)
      }),
    async withHashes(manifest, signal) {
      const { tables } = await verify(options, manifest, { signal }, 'hash')
      return { ...manifest, fingerprint: { ...manifest.fingerprint, tables } }
    },
  }
}

async function take(options: CloneOptions, control: Client, request: BackupRequest, fence: Fence): Promise<Manifest> {
  const { database } = options.target
  const { scratch, kept } = namesOfClone(database, request)
  try {
    const { isOpen, serverMajor: _, ...facts } = await requireFacts(control, database)
    const sessions = await requireQuiet(control, database, isOpen)
    await dropScratch(control, database, request, fence)
    await dropReplaced(control, database, request, fence)
    const properties = await propertyStatements(control, database)
    fence.progress(`clone ${database}, ${facts.bytes} bytes`)
    await cloneDatabase(control, database, scratch, fence)
    await applyProperties(control, properties, scratch, fence)
    const { state, writes } = await compareWithSource(options, control, scratch, request, fence)
    await requireNobodyCame(control, database, sessions, 1)
    await keep(control, scratch, kept, fence)
    const { source: _source, onSource: _onSource, ...identity } = request
    const bytes = (await requireFacts(control, kept)).bytes
    const since = await countedSince(control, kept)
    const takenAt = new Date().toISOString()
    return {
      format: 1,
      kind: 'clone',
      ...identity,
      ...facts,
      location: kept,
      bytes,
      files: {},
      properties,
      fingerprint: state,
      ...(since === undefined ? {} : { writes: { count: writes, since } }),
      takenAt,
    }
  } catch (error) {
    if (!fence.signal.aborted) await dropOwn(control, scratch, fence).catch(() => {})
    throw asFailure('BackupFailed', `cannot clone database ${database}`, error, fence.signal)
  }
}

/** What a clone holds, and how much had been written in it until then. */
interface Read {
  state: Fingerprint
  writes: string
}

/** Schema, row counts, sequences and large objects of both, read at once; nobody can write to either. */
async function compareWithSource(
  { target }: CloneOptions,
  control: Client,
  clone: string,
  request: BackupRequest,
  fence: Fence,
): Promise<Read> {
  fence.progress(`compare the clone with ${target.database}`)
  const check = (): Promise<void> => fence.check()
  const count = (session: Client): Promise<Fingerprint> => fingerprint(session, { rows: 'count', signal: fence.signal })
  const openSource: Opening<Fingerprint> = request.onSource ?? opening(target, fence.applicationName)
  const openClone = opening<Read>(withDatabase(target, clone), fence.applicationName)
  const [source, made] = await both(
    withinClosed(control, target.database, check, openSource, count),
    withinClosed(control, clone, check, openClone, async (session) => ({
      writes: await writesIn(session),
      state: await count(session),
    })),
  )
  requireEqual('BackupFailed', 'the clone is not equal to its source', source, made.state)
  return made
}

/** Waits for both, also when one fails: nothing goes on behind our back. */
async function both<One, Other>(first: Promise<One>, second: Promise<Other>): Promise<[One, Other]> {
  await Promise.allSettled([first, second])
  return [await first, await second]
}

const opening =
  <T>(target: Target, applicationName: string): Opening<T> =>
  (work) =>
    withSession(target, { applicationName, readOnly: true, statementTimeoutMs: 0 }, work)

/** Only now it has the name of a backup. */
async function keep(control: Client, scratch: string, kept: string, fence: Fence): Promise<void> {
  await endSessions(control, scratch, { withinMs: END_WITHIN_MS }, fence)
  await fence.check()
  await control.query(`alter database ${quoteIdentifier(scratch)} rename to ${quoteIdentifier(kept)}`)
}

/** With a fence the clone is about to be used: whoever is inside is ended, so that nothing he wrote is overlooked. */
async function verify(
  options: CloneOptions,
  manifest: Manifest,
  { signal, fence }: { signal: AbortSignal; fence?: Fence },
  rows: 'count' | 'hash' = Object.values(manifest.fingerprint.tables).some(({ hash }) => hash) ? 'hash' : 'count',
): Promise<Fingerprint> {
  const { location, writes } = manifest
  const applicationName = fence?.applicationName ?? LOOKING
  return withControl(options.controlTarget, applicationName, async (control) => {
    await requireSameDatabase(control, manifest, options.target.database)
    const found = await readFacts(control, location)
    if (!found) throw failure('BackupDamaged', `clone ${location} is gone`)
    // An attempt that died while it came in leaves the clone open: then only the count of what was written tells.
    const isCounted = writes !== undefined && writes.since === (await countedSince(control, location))
    if (found.isOpen && !isCounted)
      throw failure('BackupDamaged', `clone ${location} is open: others could have written to it`)
    const open = opening<Fingerprint>(withDatabase(options.target, location), applicationName)
    const check = async (): Promise<void> => (fence ? fence.check() : signal.throwIfAborted())
    const now = await withinClosed(control, location, check, open, async (session) => {
      if (fence) await shutOthersOut(control, location, session, fence)
      if (isCounted && (await writesIn(session)) !== writes.count)
        throw failure('BackupDamaged', `somebody has written in clone ${location} since it was made`)
      return fingerprint(session, { rows, signal })
    })
    requireEqual('BackupDamaged', `clone ${location} is not what the manifest says`, manifest.fingerprint, now)
    return now
  })
}

/** Throws `BackupDamaged` where somebody cannot be ended: a clone that is in use is of none. */
async function shutOthersOut(control: Client, clone: string, session: Client, fence: Fence): Promise<void> {
  try {
    await endOthers(control, clone, session, END_WITHIN_MS, fence)
  } catch (error) {
    if (!failedWith(error, 'WritersNotQuiet')) throw error
    throw failure('BackupDamaged', `clone ${clone} is in use: ${messageOf(error)}`, error)
  }
}

function requireEqual(code: 'BackupFailed' | 'BackupDamaged', what: string, was: Fingerprint, is: Fingerprint): void {
  const differences = fingerprintDifferences(was, is)
  if (differences.length === 0) return
  throw failure(code, `${what}: ${differences.length} differences, the first: ${differences[0]}`, undefined, {
    evidence: differences.slice(0, SHOWN_DIFFERENCES).join('\n'),
  })
}
