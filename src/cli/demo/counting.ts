import { setTimeout as pause } from 'node:timers/promises'
import { failure } from '../../domain/failures.js'
import type { Ground } from './ground.js'
import { DATABASE } from './shop.js'

/** By then somebody has ordered the same twice. */
const ENOUGH = 20
const WITHIN_MS = 30_000
const POLL_MS = 300

/** Waits until the client has been told of enough orders. Throws `Unexpected` when they do not come. */
export async function untilOrdersCome({ shop }: Ground, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + WITHIN_MS
  while ((await shop.look(signal)).acknowledged < ENOUGH) {
    if (performance.now() > deadline) throw failure('Unexpected', "the shop's client was told of no orders")
    await pause(POLL_MS, undefined, { signal })
  }
}

/** How many orders the client was told of, and how many of them are in the live database or in one that was put aside. */
export async function countOrders(
  { shop }: Ground,
  signal: AbortSignal,
): Promise<{ databases: string[]; acknowledged: number; found: number }> {
  const { putAside } = await shop.look(signal)
  for (const database of putAside) await shop.lookInto(database, signal)
  const databases = [DATABASE, ...putAside]
  const { acknowledged, found } = await shop.compare(databases, signal)
  return { databases, acknowledged, found }
}
