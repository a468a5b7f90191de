import { setTimeout as pause } from 'node:timers/promises'
import type { Cluster } from '../../domain/configuration-kubernetes.js'
import type { Fence } from '../../domain/fence.js'
import { insist, patchObject } from './kubernetes.js'
import { type Change, undoneByArgo } from './kubernetes-argocd.js'
import { holdScaler, keptByKeda, releaseScaler } from './kubernetes-keda.js'
import { REPLICAS, type Workload, workloadOf } from './kubernetes-workload.js'

const FIRST_POLL_MS = 50
const LONGEST_POLL_MS = 1_000

/** What each workload was made to be, in one change with our note of what it was: a crash in between leaves neither alone. */
export async function scaleToNothing(cluster: Cluster, object: string, fence: Fence): Promise<void> {
  await holdScaler(cluster, object, fence)
  await changed(cluster, object, fence, ({ replicas }) =>
    replicas === 0 ? undefined : { metadata: { annotations: { [REPLICAS]: String(replicas) } }, spec: { replicas: 0 } },
  )
}

/** To what it was when `scaleToNothing` found it. What somebody else scaled to nothing stays so. */
export async function scaleBack(cluster: Cluster, object: string, fence: Fence): Promise<void> {
  await changed(cluster, object, fence, backOf)
  await releaseScaler(cluster, object, fence)
}

/** What brings a workload back; where nothing is noted it is as somebody wants it. */
export const backOf = ({ replicas, replicasBefore }: Workload): Record<string, unknown> | undefined =>
  replicasBefore === undefined
    ? undefined
    : {
        metadata: { annotations: { [REPLICAS]: null } },
        // Somebody may have scaled it since: that is what he wants.
        ...(replicas === 0 ? { spec: { replicas: replicasBefore } } : {}),
      }

/** Changes a workload as `change` says of what it is, as often as somebody else comes before us. `undefined`: nothing is to be done. */
export async function changed(
  cluster: Cluster,
  object: string,
  fence: Fence,
  change: (now: Workload) => Record<string, unknown> | undefined,
  type: 'merge' | 'strategic' = 'merge',
): Promise<void> {
  await insist(object, fence.signal, async () => {
    const now = await workloadOf(cluster, object, fence.signal)
    const patch = change(now)
    return (
      patch === undefined || patchObject(cluster, object, { resourceVersion: now.resourceVersion, type, patch }, fence)
    )
  })
}

/** Looks at the workloads until `holds`, or the time is over. Returns what was seen last. */
export async function untilWorkloads(
  cluster: Cluster,
  objects: readonly string[],
  { withinMs, signal }: { withinMs: number; signal: AbortSignal },
  holds: (all: readonly Workload[]) => boolean,
): Promise<{ all: Workload[]; holds: boolean }> {
  const deadline = performance.now() + withinMs
  for (let wait = FIRST_POLL_MS; ; wait = Math.min(2 * wait, LONGEST_POLL_MS)) {
    const all = await Promise.all(objects.map((object) => workloadOf(cluster, object, signal)))
    if (holds(all)) return { all, holds: true }
    if (performance.now() > deadline) return { all, holds: false }
    await pause(wait, undefined, { signal })
  }
}

/** What would bring a paused workload back, or put another image on it, in words. */
export async function undoneBy(
  cluster: Cluster,
  objects: readonly string[],
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<string[]> {
  return [...(await keptByKeda(cluster, objects, signal)), ...(await undoneByArgo(cluster, objects, changes, signal))]
}
