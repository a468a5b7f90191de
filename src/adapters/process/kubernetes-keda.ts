import { z } from 'zod'
import type { Cluster } from '../../domain/configuration-kubernetes.js'
import type { Fence } from '../../domain/fence.js'
import { getObject, insist, patchObject } from './kubernetes.js'

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

const targetOf = ({ spec: { scaleTargetRef } }: ScaledObject): string =>
  `${scaleTargetRef.kind.toLowerCase()}/${scaleTargetRef.name}`

/** None where KEDA is not installed. */
async function scalersOf(cluster: Cluster, objects: readonly string[], signal: AbortSignal): Promise<ScaledObject[]> {
  const found = await getObject(cluster, `/apis/keda.sh/v1alpha1/namespaces/${cluster.namespace}/scaledobjects`, signal)
  return found === undefined ? [] : ScaledObjects.parse(found).items.filter((one) => objects.includes(targetOf(one)))
}

const annotated = (
  cluster: Cluster,
  object: string,
  fence: Fence,
  change: (annotations: ScaledObject['metadata']['annotations']) => Record<string, string | null> | undefined,
): Promise<void> =>
  insist(`the ScaledObject of ${object}`, fence.signal, async () => {
    const scalers = await scalersOf(cluster, [object], fence.signal)
    const done = await Promise.all(
      scalers.map(({ metadata: { name, resourceVersion, annotations } }) => {
        const wanted = change(annotations)
        if (wanted === undefined) return true
        const patch = { metadata: { annotations: wanted } }
        return patchObject(cluster, `scaledobjects.keda.sh/${name}`, { resourceVersion, patch }, fence)
      }),
    )
    return done.every(Boolean)
  })

/** The workloads that KEDA may give pods at any moment, also where they have none now. */
export async function scaledByKeda(
  cluster: Cluster,
  objects: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  if (objects.length === 0) return new Set()
  const scalers = await scalersOf(cluster, objects, signal)
  return new Set(scalers.filter(({ metadata }) => !isHeld(metadata.annotations)).map(targetOf))
}

/** Workloads that are to keep a number of replicas, whoever scales them, in words. */
export async function keptByKeda(cluster: Cluster, objects: readonly string[], signal: AbortSignal): Promise<string[]> {
  const scalers = await scalersOf(cluster, objects, signal)
  return scalers
    .filter(({ metadata: { annotations } }) => (annotations[KEDA_PAUSED_REPLICAS] ?? '0') !== '0')
    .map((scaler) => `KEDA keeps ${targetOf(scaler)} at the replicas that ${scaler.metadata.name} is paused with`)
}

const isHeld = (annotations: Readonly<Record<string, string>>): boolean =>
  annotations[KEDA_PAUSED] === 'true' || annotations[KEDA_PAUSED_REPLICAS] === '0'

/** Twice is once; what somebody has paused already is left so. */
export const holdScaler = (cluster: Cluster, object: string, fence: Fence): Promise<void> =>
  annotated(cluster, object, fence, (annotations) =>
    isHeld(annotations) ? undefined : { [KEDA_PAUSED]: 'true', [PAUSED]: 'true' },
  )

/** Of what `holdScaler` has paused. Twice is once. */
export const releaseScaler = (cluster: Cluster, object: string, fence: Fence): Promise<void> =>
  annotated(cluster, object, fence, (annotations) =>
    annotations[PAUSED] === undefined ? undefined : { [KEDA_PAUSED]: null, [PAUSED]: null },
  )
