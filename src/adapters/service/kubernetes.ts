import type { ServiceConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { Tag } from '../../domain/names.js'
import { scaledByKeda } from '../process/kubernetes-keda.js'
import { backOf, changed, scaleBack, scaleToNothing, undoneBy, untilWorkloads } from '../process/kubernetes-scaling.js'
import { inTrouble, TAG, type Workload, workloadOf } from '../process/kubernetes-workload.js'
import type { Service, ServiceContext } from './port.js'

/** Of an image that a node has pulled: `registry/api@sha256:...`, with a scheme of its runtime before it. */
const DIGEST = /^(?:[a-z-]+:\/\/)?(.+)@(sha256:[0-9a-f]{64})$/

/**
 * Deployments and StatefulSets of a Kubernetes namespace that are deployed together, with one tag. What counts is the image that
 * their pods run, by its digest as the nodes tell it; what a tag would be is known to the nodes alone, once they have pulled it.
 */
export function kubernetes(
  name: string,
  { workloads, image: pattern, within, ...cluster }: Extract<ServiceConfiguration, { kind: 'kubernetes' }>,
  { secrets }: ServiceContext,
): Service {
  const [before = '', behind = ''] = pattern.split('{tag}')
  const repository = pattern.slice(0, pattern.lastIndexOf(':', pattern.indexOf('{tag}')))
  const failed = (what: string): Error => failure('ServiceFailed', `service ${name}: ${excerpt(what, secrets)}`)
  const all = (signal: AbortSignal): Promise<Workload[]> =>
    Promise.all(workloads.map((object) => workloadOf(cluster, object, signal)))
  /** Its containers that are the release's. Throws `ConfigurationInvalid` where there is none. */
  const ours = ({ object, images }: Workload): Workload['images'] => {
    const found = images.filter(
      ({ image }) => image === repository || image.startsWith(`${repository}:`) || image.startsWith(`${repository}@`),
    )
    if (found.length > 0) return found
    throw failure(
      'ConfigurationInvalid',
      `service ${name}: no container of ${object} has an image of ${repository}; they have ${images.map(({ image }) => image).join(', ')}`,
    )
  }
  const tagOf = (now: readonly Workload[]): string | undefined => {
    const tags = new Set(
      now.flatMap((workload) =>
        ours(workload).map(({ image }) => {
          if (image.includes('@')) return workload.tag
          return image.startsWith(before) && image.endsWith(behind)
            ? image.slice(before.length, image.length - behind.length)
            : undefined
        }),
      ),
    )
    const [one] = tags
    return tags.size === 1 && Tag.safeParse(one).success ? one : undefined
  }
  const isAnyScaled = async (signal: AbortSignal): Promise<boolean> =>
    (await scaledByKeda(cluster, workloads, signal)).size > 0
  const upWithin = async (fence: Fence): Promise<Workload[]> => {
    const { all: now } = await untilWorkloads(
      cluster,
      workloads,
      { withinMs: within, signal: fence.signal },
      (seen) => seen.every(({ isUp }) => isUp) || seen.some(({ hasGivenUp }) => hasGivenUp),
    )
    if (!now.every(({ isUp }) => isUp))
      throw failed(`it does not get ready: ${inTrouble(now.filter(({ isUp }) => !isUp))}`)
    return now
  }

  return {
    name,
    canStop: true,
    current: async (signal) => tagOf(await all(signal)),
    currentImage: async (signal) =>
      digestOf(
        repository,
        (await all(signal)).flatMap((workload) => idsOf(workload, ours(workload))),
      ),
    // What KEDA has at nothing may run at any moment.
    isRunning: async (signal) =>
      (await all(signal)).some(({ replicas, pods }) => replicas > 0 || pods.length > 0) || isAnyScaled(signal),
    // Only the nodes know, who pull it.
    exists: async () => undefined,
    undoneBy: (signal) => undoneBy(cluster, workloads, ['replicas', 'image'], signal),
    deploy: async (tag, fence, image) => {
      if (!Tag.safeParse(tag).success) throw failure('InputInvalid', `service ${name}: that is not a tag`)
      const digest = image !== undefined && /^sha256:[0-9a-f]{64}$/.test(image) ? image : undefined
      const wanted = digest === undefined ? `${before}${tag}${behind}` : `${repository}@${digest}`
      // Where nothing of it runs, and nobody knows how much did; else what somebody has at nothing stays so.
      const isDown = (await all(fence.signal)).every(
        ({ replicas, replicasBefore }) => (replicasBefore ?? replicas) === 0,
      )
      const wakes = isDown && !(await isAnyScaled(fence.signal))
      await Promise.all(
        workloads.map((object) =>
          changed(
            cluster,
            object,
            fence,
            (now) => deploying(now, ours(now), { image: wanted, tag: digest === undefined ? null : tag, wakes }),
            'strategic',
          ),
        ),
      )
      await Promise.all(workloads.map((object) => scaleBack(cluster, object, fence)))
      // Of an image that is named by its digest a node runs no other.
      await upWithin(fence)
    },
    start: async (fence) => {
      await Promise.all(workloads.map((object) => scaleBack(cluster, object, fence)))
      const now = await upWithin(fence)
      if (now.every(({ replicas }) => replicas === 0) && !(await isAnyScaled(fence.signal)))
        throw failed('it has no replicas, and nobody noted how many it had')
    },
    stop: async (fence) => {
      await Promise.all(workloads.map((object) => scaleToNothing(cluster, object, fence)))
      const { all: now, holds } = await untilWorkloads(
        cluster,
        workloads,
        { withinMs: within, signal: fence.signal },
        (seen) => seen.every(({ replicas, pods }) => replicas === 0 && pods.length === 0),
      )
      if (!holds) throw failed(`it still runs after it was stopped: ${inTrouble(now)}`)
    },
  }
}

/** Brings an image in, started. `wakes`: also what has no replicas. Undefined where it is so already. */
function deploying(
  now: Workload,
  containers: Workload['images'],
  { image, tag, wakes }: { image: string; tag: string | null; wakes: boolean },
): Record<string, unknown> | undefined {
  const named = (isInit: boolean): { name: string; image: string }[] =>
    containers.filter((one) => one.isInit === isInit).map(({ container }) => ({ name: container, image }))
  const back = backOf(now) ?? (wakes && now.replicas === 0 ? { spec: { replicas: 1 } } : {})
  const isDone = containers.every((one) => one.image === image) && (now.tag ?? null) === tag
  if (isDone && Object.keys(back).length === 0) return undefined
  const [main, init] = [named(false), named(true)]
  return {
    ...back,
    spec: {
      ...(back.spec as object | undefined),
      template: {
        metadata: { annotations: { [TAG]: tag } },
        spec: {
          ...(main.length === 0 ? {} : { containers: main }),
          ...(init.length === 0 ? {} : { initContainers: init }),
        },
      },
    },
  }
}

const idsOf = ({ pods }: Workload, containers: Workload['images']): string[] =>
  pods.flatMap(({ imageIds }) =>
    containers.filter(({ isInit }) => !isInit).map(({ container }) => imageIds[container] ?? ''),
  )

/** What all of them run; undefined where one does not tell, they differ, or a node knows it by another name: it could not be had by ours. */
function digestOf(repository: string, imageIds: readonly string[]): string | undefined {
  const digests = new Set(
    imageIds.map((id) => {
      const [, from = '', digest] = DIGEST.exec(id) ?? []
      return from === repository || from.endsWith(`/${repository}`) ? digest : undefined
    }),
  )
  const [one] = digests
  return digests.size === 1 ? one : undefined
}
