import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import type { Fingerprint, Manifest } from '../../domain/manifest.js'
import { fingerprint } from '../postgres/data-fingerprint.js'
import { propertyStatements } from '../postgres/database-properties.js'
import { schemaHash } from '../postgres/schema-fingerprint.js'
import { quoteLiteral, withSession } from '../postgres/session.js'
import { type Target, withDatabase } from '../postgres/target.js'
import type { BackupStore, UnfinishedBackup } from '../store/port.js'
import { asFailure } from './as-failure.js'
import { requireNobodyCame, requireQuiet, whileEntering } from './closed-database.js'
import { withControl } from './control.js'
import { dumpInto, type DumpPrograms, requireSameServer, requireVersion } from './dump-programs.js'
import { type DatabaseFacts, requireFacts } from './facts.js'
import type { BackupEngine, BackupRequest } from './port.js'
import { restoreBeside } from './restore.js'
import { dropScratch } from './scratch.js'

export interface DumpOptions extends DumpPrograms {
  /** Reads everything. */
  target: Target
  /** Creates databases and owns what is restored. */
  controlTarget: Target
  store: BackupStore
}

/** Of ours in the source beside those of `pg_dump`: one that exports the snapshot, one that reads the fingerprint. */
const READING_SESSIONS = 2

/** Keeps the state as `pg_dump`'s directory format in a store, with the fingerprint of the very snapshot that was dumped. */
export function createDumpEngine(options: DumpOptions): BackupEngine {
  const { controlTarget, store, target } = options
  return {
    kind: 'dump',
    take: (request, fence) =>
      withControl(controlTarget, fence.applicationName, (control) => take(options, control, request, fence)),
    verify: (manifest, signal) => verify(options, manifest, signal),
    describe: async (signal) => {
      const facts = await withControl(controlTarget, 'headgate tools', (control) =>
        requireFacts(control, target.database),
      )
      // Both: what was dumped and cannot be restored is no way back.
      const versions = [
        await requireVersion(options, 'pg_dump', facts, signal),
        await requireVersion(options, 'pg_restore', facts, signal),
      ]
      await requireSameServer(options, target, signal)
      return versions
    },
    async restoreBeside(manifest, beside, fence, { elsewhere = false } = {}) {
      if (!elsewhere) requireDatabase(manifest, target.database)
      await verifyBytes(options, manifest, fence.signal)
      return withControl(controlTarget, fence.applicationName, (control) =>
        restoreBeside(options, control, manifest, { database: beside, elsewhere }, fence),
      )
    },
    async discard(owner, fence) {
      await fence.check()
      await store.removeLeftovers(owner)
      await withControl(controlTarget, fence.applicationName, (control) =>
        dropScratch(control, target.database, owner, fence),
      )
    },
  }
}

async function verify(options: DumpOptions, manifest: Manifest, signal: AbortSignal): Promise<void> {
  requireDatabase(manifest, options.target.database)
  await verifyBytes(options, manifest, signal)
}

async function verifyBytes({ store }: DumpOptions, manifest: Manifest, signal: AbortSignal): Promise<void> {
  await store.verify(manifest, signal)
  const bytes = Object.values(manifest.files).reduce((sum, file) => sum + file.bytes, 0)
  const isConsistent =
    String(bytes) === manifest.bytes && schemaHash(manifest.fingerprint.objects) === manifest.fingerprint.schema
  if (!isConsistent) throw failure('BackupDamaged', `the manifest of backup ${manifest.name} contradicts itself`)
}

function requireDatabase(manifest: Manifest, database: string): void {
  if (manifest.kind === 'dump' && manifest.database === database) return
  throw failure(
    'DatabaseWrong',
    `backup ${manifest.name} is no dump of database ${database}, but a ${manifest.kind} of ${manifest.database}`,
  )
}

async function take(options: DumpOptions, control: Client, request: BackupRequest, fence: Fence): Promise<Manifest> {
  const { store, target } = options
  let unfinished: UnfinishedBackup | undefined
  try {
    const finished = await takenBefore(options, request, fence)
    if (finished) return finished
    const facts = await requireFacts(control, target.database)
    await requireVersion(options, 'pg_dump', facts, fence.signal)
    await fence.check()
    await store.removeLeftovers(request)
    const properties = await propertyStatements(control, target.database)
    unfinished = await store.begin(request, request.run)
    const state = await dumpSource(
      options,
      control,
      request.source ?? target.database,
      facts.serverMajor,
      unfinished.folder,
      fence,
    )
    fence.progress('hash the dump and bring it to disk')
    const files = await unfinished.collect(fence.signal)
    const manifest = manifestOf(request, facts, { files, properties, fingerprint: state })
    await fence.check()
    await unfinished.finish(manifest)
    return manifest
  } catch (error) {
    await unfinished?.discard().catch(() => {})
    throw asFailure('BackupFailed', `cannot dump database ${target.database}`, error, fence.signal)
  }
}

/** A name stands for one backup: an attempt that finished it before is not repeated, and somebody else's is not touched. */
async function takenBefore(
  { store }: DumpOptions,
  request: BackupRequest,
  fence: Fence,
): Promise<Manifest | undefined> {
  const manifest = await store.read(request)
  if (!manifest) return undefined
  if (manifest.run !== request.run || manifest.stage !== request.stage) {
    throw failure('BackupFailed', `backup ${request.name} exists already: it is of run ${manifest.run}`)
  }
  await store.verify(manifest, fence.signal)
  return manifest
}

function manifestOf(
  request: BackupRequest,
  { serverMajor: _major, isOpen: _isOpen, ...facts }: DatabaseFacts,
  taken: Pick<Manifest, 'files' | 'properties' | 'fingerprint'>,
): Manifest {
  const { source: _source, onSource: _onSource, ...identity } = request
  const bytes = String(Object.values(taken.files).reduce((sum, file) => sum + file.bytes, 0))
  const location = `${request.project}/${request.environment}/${request.name}`
  const takenAt = new Date().toISOString()
  return { format: 1, kind: 'dump', ...identity, ...facts, location, ...taken, bytes, takenAt }
}

/** Dumps an open database as it is. A closed one lets sessions in until ours are inside, and none but ours may have come. */
async function dumpSource(
  options: DumpOptions,
  control: Client,
  database: string,
  serverMajor: number,
  folder: string,
  fence: Fence,
): Promise<Fingerprint> {
  const source = { target: withDatabase(options.target, database), serverMajor }
  const { isOpen } = await requireFacts(control, database)
  if (isOpen) return dumpSnapshot(options, source, folder, fence)
  const before = await requireQuiet(control, database, isOpen)
  const count = READING_SESSIONS + 1 + (options.jobs > 1 ? options.jobs : 0)
  const expected = { applicationName: fence.applicationName, count }
  const dump = (): Promise<Fingerprint> => dumpSnapshot(options, source, folder, fence)
  const state = await whileEntering(control, database, () => fence.check(), expected, dump)
  await requireNobodyCame(control, database, before, count)
  return state
}

/** The dump and the fingerprint see the same snapshot, so they are equal whatever is written meanwhile; sequences are in no snapshot. */
async function dumpSnapshot(
  options: DumpOptions,
  source: { target: Target; serverMajor: number },
  folder: string,
  fence: Fence,
): Promise<Fingerprint> {
  const as = { applicationName: fence.applicationName, readOnly: true, statementTimeoutMs: 0 }
  return withSession(source.target, as, async (holder) => {
    const snapshot = await exportSnapshot(holder)
    return withSession(source.target, as, async (reader) => {
      const reading = readSnapshot(reader, snapshot, fence.signal)
      // Told below; a dump that fails first ends the session, and with it the reading.
      reading.catch(() => {})
      await dumpInto(options, { ...source, snapshot }, folder, fence)
      fence.progress('read the fingerprint')
      return reading
    })
  })
}

async function exportSnapshot(holder: Client): Promise<string> {
  await holder.query('begin isolation level repeatable read read only')
  // It idles for as long as the dump takes; a client that is gone is noticed by keepalives.
  await holder.query('set local idle_in_transaction_session_timeout = 0')
  const { rows } = await holder.query<{ snapshot: string }>('select pg_export_snapshot() as snapshot')
  return rows[0]?.snapshot ?? ''
}

/** The fingerprint's own `begin` then finds the transaction open, and joins it. */
async function readSnapshot(reader: Client, snapshot: string, signal: AbortSignal): Promise<Fingerprint> {
  await reader.query('begin isolation level repeatable read read only')
  await reader.query(`set transaction snapshot ${quoteLiteral(snapshot)}`)
  return fingerprint(reader, { rows: 'hash', signal })
}
