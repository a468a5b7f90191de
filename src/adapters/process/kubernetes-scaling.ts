import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import type { Cluster } from '../../domain/configuration-kubernetes.js'
import { failedWith, failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { getObject, patchObject } from './kubernetes.js'
import { REPLICAS, type Workload, workloadOf } from './kubernetes-workload.js'

const FIRST_POLL_MS = 50
const LONGEST_POLL_MS = 1_000
/** Somebody else is quicker so often only where he does nothing else. */
const TRIES = 60

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
  for (let tries = 0, wait = FIRST_POLL_MS; tries < TRIES; tries++, wait = Math.min(2 * wait, LONGEST_POLL_MS)) {
    const now = await workloadOf(cluster, object, fence.signal)
    const patch = change(now)
    if (patch === undefined) return
    if (await patchObject(cluster, object, { resourceVersion: now.resourceVersion, type, patch }, fence)) return
    await pause(wait * Math.random(), undefined, { signal: fence.signal })
  }
  throw changedByOthers(object)
}

const changedByOthers = (what: string): Error =>
  failure(
    'EngineUnreachable',
    `${what} was changed by somebody else, each of ${TRIES} times that it was to be changed`,
    undefined,
    {
      hint: 'find out who changes it all the time: kubectl get --show-managed-fields --output yaml',
    },
  )

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

/** KEDA scales by itself also what has no replicas; an autoscaler of Kubernetes' own leaves that alone. */
const KEDA_PAUSED = 'autoscaling.keda.sh/paused'
const KEDA_PAUSED_REPLICAS = 'autoscaling.keda.sh/paused-replicas'
/** Our note on a ScaledObject that it was us who paused it. */
const PAUSED = 'headgate.dev/paused'

const ScaledObjects = z.object({
  items: z.array(
    z.object({
      metadata: z.object({
        name: z.string(),
        resourceVersion: z.string(),
        annotations: z.record(z.string(), z.string()).default({}),
      }),
      spec: z.object({ scaleTargetRef: z.object({ kind: z.string().default('Deployment'), name: z.string() }) }),
    }),
  ),
})
type ScaledObject = z.infer<typeof ScaledObjects>['items'][number]

/** Of KEDA, where that is installed. */
async function scalersOf(cluster: Cluster, object: string, signal: AbortSignal): Promise<ScaledObject[]> {
  const found = await getObject(cluster, `/apis/keda.sh/v1alpha1/namespaces/${cluster.namespace}/scaledobjects`, signal)
  if (found === undefined) return []
  return ScaledObjects.parse(found).items.filter(
    ({ spec: { scaleTargetRef } }) => `${scaleTargetRef.kind.toLowerCase()}/${scaleTargetRef.name}` === object,
  )
}

async function annotated(
  cluster: Cluster,
  object: string,
  fence: Fence,
  change: (scaler: ScaledObject) => Record<string, string | null> | undefined,
): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    const patches = (await scalersOf(cluster, object, fence.signal)).flatMap((scaler) => {
      const annotations = change(scaler)
      return annotations === undefined ? [] : [{ ...scaler.metadata, annotations }]
    })
    const done = await Promise.all(
      patches.map(({ name, resourceVersion, annotations }) =>
        patchObject(
          cluster,
          `scaledobjects.keda.sh/${name}`,
          { resourceVersion, patch: { metadata: { annotations } } },
          fence,
        ),
      ),
    )
    if (done.every(Boolean)) return
    await pause(FIRST_POLL_MS, undefined, { signal: fence.signal })
  }
  throw changedByOthers(`the ScaledObject of ${object}`)
}

/** Whether KEDA may give it pods at any moment, also where it has none now. */
export const isScaled = async (cluster: Cluster, object: string, signal: AbortSignal): Promise<boolean> =>
  (await scalersOf(cluster, object, signal)).some(({ metadata: { annotations } }) => !isHeld(annotations))

const isHeld = (annotations: Readonly<Record<string, string>>): boolean =>
  annotations[KEDA_PAUSED] === 'true' || annotations[KEDA_PAUSED_REPLICAS] === '0'

const holdScaler = (cluster: Cluster, object: string, fence: Fence): Promise<void> =>
  annotated(cluster, object, fence, ({ metadata: { annotations } }) =>
    isHeld(annotations) ? undefined : { [KEDA_PAUSED]: 'true', [PAUSED]: 'true' },
  )

const releaseScaler = (cluster: Cluster, object: string, fence: Fence): Promise<void> =>
  annotated(cluster, object, fence, ({ metadata: { annotations } }) =>
    annotations[PAUSED] === undefined ? undefined : { [KEDA_PAUSED]: null, [PAUSED]: null },
  )

/** What would bring a paused workload back, or put another image on it, in words. */
export async function undoneBy(
  cluster: Cluster,
  objects: readonly string[],
  changes: readonly ('replicas' | 'image')[],
  signal: AbortSignal,
): Promise<string[]> {
  const kept = await Promise.all(
    objects.map(async (object) =>
      (await scalersOf(cluster, object, signal))
        .filter(({ metadata: { annotations } }) => (annotations[KEDA_PAUSED_REPLICAS] ?? '0') !== '0')
        .map(({ metadata: { name } }) => `KEDA keeps ${object} at the replicas that ${name} is paused with`),
    ),
  )
  return [...kept.flat(), ...(await byArgo(cluster, objects, changes, signal))]
}

const Applications = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      spec: z.object({
        syncPolicy: z
          .object({
            automated: z.object({ enabled: z.boolean().default(true) }).nullish(),
            syncOptions: z.array(z.string()).default([]),
          })
          .nullish(),
        ignoreDifferences: z
          .array(
            z.object({
              kind: z.string(),
              name: z.string().optional(),
              namespace: z.string().optional(),
              jsonPointers: z.array(z.string()).default([]),
              jqPathExpressions: z.array(z.string()).default([]),
            }),
          )
          .default([]),
      }),
      status: z
        .object({
          resources: z
            .array(z.object({ kind: z.string(), name: z.string(), namespace: z.string().default('') }))
            .default([]),
        })
        .prefault({}),
    }),
  ),
})
type Application = z.infer<typeof Applications>['items'][number]

/**
 * Argo CD puts back what differs from its repository: at once where an application heals itself, else with the next commit. Where its
 * applications may not be read nothing is known against them.
 */
async function byArgo(
  cluster: Cluster,
  objects: readonly string[],
  changes: readonly ('replicas' | 'image')[],
  signal: AbortSignal,
): Promise<string[]> {
  const found = await getObject(cluster, '/apis/argoproj.io/v1alpha1/applications', signal).catch((error: unknown) => {
    if (!failedWith(error, 'RightsMissing')) throw error
    return undefined
  })
  if (found === undefined || cluster.argocd === 'ignore') return []
  return Applications.parse(found)
    .items.filter(({ spec: { syncPolicy } }) => syncPolicy?.automated?.enabled === true)
    .flatMap((application) =>
      objects
        .filter((object) => application.status.resources.some((one) => isSame(one, object, cluster.namespace)))
        .flatMap((object) =>
          changes
            .filter((change) => !isIgnored(application, object, cluster.namespace, change))
            .map((change) => ({ object, change })),
        )
        .map(
          ({ object, change }) =>
            `Argo CD's application ${application.metadata.name} syncs by itself, and would undo the ${change} of ${object}: list them under its ignoreDifferences, with RespectIgnoreDifferences=true among its syncOptions; or suspend its syncs`,
        ),
    )
}

const isSame = (one: { kind: string; name: string; namespace: string }, object: string, namespace: string): boolean =>
  `${one.kind.toLowerCase()}/${one.name}` === object && one.namespace === namespace

const isIgnored = ({ spec }: Application, object: string, namespace: string, change: 'replicas' | 'image'): boolean =>
  (spec.syncPolicy?.syncOptions ?? []).includes('RespectIgnoreDifferences=true') &&
  spec.ignoreDifferences.some(
    ({ kind, name, namespace: where, jsonPointers, jqPathExpressions }) =>
      ['*', object.split('/')[0]].includes(kind.toLowerCase()) &&
      (name === undefined || object.endsWith(`/${name}`)) &&
      (where === undefined || where === namespace) &&
      [...jsonPointers, ...jqPathExpressions].some((path) =>
        change === 'replicas' ? /replicas/.test(path) : /image|containers$/.test(path),
      ),
  )
