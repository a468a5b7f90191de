import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import type { Manifest } from '../../domain/manifest.js'
import { restoreName } from '../../domain/names.js'
import { ScratchFence } from '../../domain/scratch-fence.js'
import { cloneDatabase } from '../postgres/clone.js'
import { applyProperties, propertyStatements } from '../postgres/database-properties.js'
import { reopenDatabase } from '../postgres/gate.js'
import { type Target, withDatabase } from '../postgres/target.js'
import { withControl } from './control.js'
import { requireFacts } from './facts.js'
import type { BackupEngine } from './port.js'
import { dropOwn, dropScratch, seedOf } from './scratch.js'

/** What is copied: a database that nobody is in, or a backup. */
export type CopySource = { database: string } | { manifest: Manifest; engine: BackupEngine }

export interface CopyRequest {
  source: CopySource
  /** Whose copies are of one name: leftovers of an earlier attempt are dropped first. */
  owner: string
  /** The role that makes and drops databases, on the server where the copy is made. */
  controlTarget: Target
  /** The role that works in it. */
  target: Target
}

/** Open, with the properties of its original; what it is like before anybody works in it. */
export interface Copy {
  target: Target
  bytes: number
  serverVersion: string
}

const TURN_WITHIN_MS = 60_000
const TURN_MS = 500
const BUSY = `select pg_try_advisory_lock(hashtextextended('headgate copy ' || $1, 0)) as "isOurs"`

/**
 * Makes a copy, hands it over, and drops it in any case. One at a time for each owner. Throws `GuardFailed` where another is
 * under way, what the backup's engine throws, and `BackupFailed` where somebody is in the database to be copied.
 */
export async function onCopy<T>(request: CopyRequest, fence: Fence, work: (copy: Copy) => Promise<T>): Promise<T> {
  const { controlTarget, target, owner, source } = request
  const model = 'manifest' in source ? source.manifest.database : source.database
  const own = { run: owner, stage: 0 }
  return withControl(controlTarget, fence.applicationName, async (control) => {
    await takeTurn(control, `${owner} ${model}`, owner, fence)
    await dropScratch(control, model, own, fence)
    const name = restoreName(model, new Date(), seedOf(own))
    try {
      await make(control, source, name, fence)
      await reopenDatabase(control, name, fence)
      const { bytes, serverVersion } = await requireFacts(control, name)
      return await work({ target: withDatabase(target, name), bytes: Number(bytes), serverVersion })
    } finally {
      // Also when it was told to stop.
      const unending = new ScratchFence(fence.applicationName, () => {}, new AbortController().signal)
      // The session may have been lost meanwhile.
      await dropOwn(control, name, unending).catch(() =>
        withControl(controlTarget, fence.applicationName, (again) => dropOwn(again, name, unending)),
      )
    }
  })
}

/** A worker that is gone has its session for a while. */
async function takeTurn(control: Client, key: string, owner: string, fence: Fence): Promise<void> {
  for (const since = performance.now(); ; await pause(TURN_MS)) {
    await fence.check()
    const { rows } = await control.query<{ isOurs: boolean }>(BUSY, [key])
    if (rows[0]?.isOurs) return
    if (performance.now() - since > TURN_WITHIN_MS) throw failure('GuardFailed', `another ${owner} is under way`)
    fence.progress(`wait for another ${owner} to end`)
  }
}

async function make(control: Client, source: CopySource, name: string, fence: Fence): Promise<void> {
  if (!('manifest' in source))
    return duplicate(control, source.database, await propertyStatements(control, source.database), name, fence)
  const { manifest, engine } = source
  if (manifest.kind === 'dump') return void (await engine.restoreBeside(manifest, name, fence))
  await engine.verify(manifest, fence.signal)
  return duplicate(control, manifest.location, manifest.properties, name, fence)
}

async function duplicate(
  control: Client,
  from: string,
  properties: readonly string[],
  name: string,
  fence: Fence,
): Promise<void> {
  fence.progress(`copy ${from}`)
  await cloneDatabase(control, from, name, fence)
  await applyProperties(control, properties, name, fence)
}
