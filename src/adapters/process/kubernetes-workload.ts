import { z } from 'zod'
import type { Cluster } from '../../domain/configuration-kubernetes.js'
import { failure } from '../../domain/failures.js'
import { getObject } from './kubernetes.js'

/** Our notes on a workload: how many replicas it had before it was scaled to nothing. */
export const REPLICAS = 'headgate.dev/replicas'
/** On its pods: the tag of a release that is named by the digest of its image. */
export const TAG = 'headgate.dev/tag'

const Annotations = z.record(z.string(), z.string()).default({})
const Container = z.object({ name: z.string(), image: z.string().default('') })
const Requirement = z.object({ key: z.string(), operator: z.string(), values: z.array(z.string()).default([]) })

const Object_ = z.object({
  metadata: z.object({
    name: z.string(),
    resourceVersion: z.string(),
    generation: z.number().default(0),
    annotations: Annotations,
  }),
  spec: z.object({
    replicas: z.number().default(1),
    selector: z.object({
      matchLabels: z.record(z.string(), z.string()).default({}),
      matchExpressions: z.array(Requirement).default([]),
    }),
    template: z.object({
      metadata: z.object({ annotations: Annotations }).prefault({}),
      spec: z.object({ containers: z.array(Container), initContainers: z.array(Container).default([]) }),
    }),
  }),
  status: z
    .object({
      observedGeneration: z.number().default(0),
      replicas: z.number().default(0),
      updatedReplicas: z.number().default(0),
      readyReplicas: z.number().default(0),
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string().default(''),
            message: z.string().default(''),
          }),
        )
        .default([]),
    })
    .prefault({}),
})

const ContainerStatus = z.object({
  name: z.string(),
  imageID: z.string().default(''),
  state: z
    .object({ waiting: z.object({ reason: z.string().default(''), message: z.string().default('') }).optional() })
    .default({}),
})
const Pod = z.object({
  metadata: z.object({
    name: z.string(),
    ownerReferences: z
      .array(z.object({ kind: z.string(), name: z.string(), controller: z.boolean().default(false) }))
      .default([]),
  }),
  status: z
    .object({
      phase: z.string().default(''),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
      containerStatuses: z.array(ContainerStatus).default([]),
      initContainerStatuses: z.array(ContainerStatus).default([]),
    })
    .prefault({}),
})
const Pods = z.object({ items: z.array(Pod), metadata: z.object({ continue: z.string().default('') }).prefault({}) })

export interface PodState {
  name: string
  /** What each container runs, as the node tells: by digest where it was pulled from a registry. */
  imageIds: Record<string, string>
  /** Why a container of it does not start, in words. */
  waiting: string[]
}

/** A Deployment or StatefulSet, with the pods that are its own and have not ended. */
export interface Workload {
  /** `deployment/api` */
  object: string
  resourceVersion: string
  /** What is asked for. */
  replicas: number
  /** What it had before it was scaled to nothing by us. */
  replicasBefore: number | undefined
  /** What its containers are made of, those that only prepare among them. */
  images: { container: string; image: string; isInit: boolean }[]
  /** `headgate.dev/tag` of its pods. */
  tag: string | undefined
  /** Everything that is asked for runs and is ready, and nothing else is left. */
  isUp: boolean
  /** Its controller has waited for its pods for as long as it does. */
  hasGivenUp: boolean
  /** What the controller says of it. */
  trouble: string[]
  /** Also those that are ending: they may still write. */
  pods: PodState[]
}

/** Throws `ConfigurationInvalid` where there is none of that name, and what `getObject` throws. */
export async function workloadOf(cluster: Cluster, object: string, signal: AbortSignal): Promise<Workload> {
  const [kind = '', name = ''] = object.split('/')
  const found = await getObject(cluster, `/apis/apps/v1/namespaces/${cluster.namespace}/${kind}s/${name}`, signal)
  if (found === undefined) throw failure('ConfigurationInvalid', `namespace ${cluster.namespace} has no ${object}`)
  const { metadata, spec, status } = Object_.parse(found)
  const pods = await podsOf(cluster, { kind, name, selector: selectorOf(spec.selector) }, signal)
  const before = metadata.annotations[REPLICAS]
  const isObserved = status.observedGeneration >= metadata.generation
  const counts = [status.replicas, status.updatedReplicas, status.readyReplicas, pods.length]
  return {
    object,
    resourceVersion: metadata.resourceVersion,
    replicas: spec.replicas,
    replicasBefore: before !== undefined && /^\d{1,6}$/.test(before) ? Number(before) : undefined,
    images: [
      ...spec.template.spec.containers.map(({ name: container, image }) => ({ container, image, isInit: false })),
      ...spec.template.spec.initContainers.map(({ name: container, image }) => ({ container, image, isInit: true })),
    ],
    tag: spec.template.metadata.annotations[TAG],
    isUp: isObserved && counts.every((count) => count === spec.replicas),
    hasGivenUp:
      isObserved && status.conditions.some(({ type, status: is }) => type === 'Progressing' && is === 'False'),
    trouble: status.conditions
      .filter(({ type, status: is }) =>
        type === 'Progressing' ? is === 'False' : type === 'ReplicaFailure' && is === 'True',
      )
      .map(({ reason, message }) => `${reason}: ${message}`),
    pods,
  }
}

const ENDED = new Set(['Succeeded', 'Failed'])
const PAGE = 100

/** Others' pods may have the same labels: a Job's of the same application. */
async function podsOf(
  cluster: Cluster,
  { kind, name, selector }: { kind: string; name: string; selector: string },
  signal: AbortSignal,
): Promise<PodState[]> {
  const all: PodState[] = []
  for (let next = ''; ; ) {
    const query = new URLSearchParams({ labelSelector: selector, limit: String(PAGE), ...(next && { continue: next }) })
    const found = await getObject(cluster, `/api/v1/namespaces/${cluster.namespace}/pods?${query}`, signal)
    const { items, metadata } = Pods.parse(found ?? { items: [] })
    all.push(...items.filter((pod) => isOf(pod, kind, name) && !ENDED.has(pod.status.phase)).map(stateOf))
    next = metadata.continue
    if (next === '') return all
  }
}

function isOf({ metadata }: z.infer<typeof Pod>, kind: string, name: string): boolean {
  return metadata.ownerReferences.some(
    (owner) =>
      owner.controller &&
      (kind === 'deployment'
        ? // The controller names each ReplicaSet after its Deployment and the hash of its template.
          owner.kind === 'ReplicaSet' && owner.name.replace(/-[a-z0-9]+$/, '') === name
        : owner.kind === 'StatefulSet' && owner.name === name),
  )
}

function stateOf({ metadata, status }: z.infer<typeof Pod>): PodState {
  const containers = [...status.initContainerStatuses, ...status.containerStatuses]
  return {
    name: metadata.name,
    imageIds: Object.fromEntries(containers.map(({ name, imageID }) => [name, imageID])),
    waiting: containers.flatMap(({ name, state: { waiting } }) =>
      waiting && !STARTING.has(waiting.reason) ? [`${name} ${waiting.reason}: ${waiting.message}`] : [],
    ),
  }
}

/** What every container goes through. */
const STARTING = new Set(['', 'ContainerCreating', 'PodInitializing'])

/** As the API writes a selector in a query. */
function selectorOf({ matchLabels, matchExpressions }: z.infer<typeof Object_>['spec']['selector']): string {
  const words: Record<string, (key: string, values: string[]) => string> = {
    In: (key, values) => `${key} in (${values.join(',')})`,
    NotIn: (key, values) => `${key} notin (${values.join(',')})`,
    Exists: (key) => key,
    DoesNotExist: (key) => `!${key}`,
  }
  return [
    ...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`),
    ...matchExpressions.map(({ key, operator, values }) => words[operator]?.(key, values) ?? key),
  ].join(',')
}

/** What keeps workloads from being as they should, in words. */
export const inTrouble = (all: readonly Workload[]): string =>
  all
    .map(({ object, replicas, pods, trouble }) => {
      const why = [...trouble, ...new Set(pods.flatMap(({ waiting }) => waiting))]
      return `${object} has ${pods.length} of ${replicas} pods${why.length === 0 ? '' : `, ${why.join(', ')}`}`
    })
    .join('; ')
