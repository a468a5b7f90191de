import type { ConsumerConfiguration } from '../../domain/configuration.js'
import { failure } from '../../domain/failures.js'
import { scaledByKeda } from '../process/kubernetes-keda.js'
import { scaleBack, scaleToNothing, undoneBy, untilWorkloads } from '../process/kubernetes-scaling.js'
import { inTrouble, type Workload, workloadOf } from '../process/kubernetes-workload.js'
import type { Consumer } from './port.js'

/**
 * Deployments and StatefulSets of a Kubernetes namespace. They are scaled to nothing, with a note on them of what they were: who
 * has no pod left has nothing in flight.
 */
export function kubernetes(
  name: string,
  { workloads, within, ...cluster }: Extract<ConsumerConfiguration, { kind: 'kubernetes' }>,
): Consumer {
  return {
    name,
    async state(signal) {
      const all = await Promise.all(workloads.map((object) => workloadOf(cluster, object, signal)))
      const atNothing = all.filter(({ replicas }) => replicas === 0).map(({ object }) => object)
      // What KEDA has at nothing gets pods with the next message.
      const scaled = await scaledByKeda(cluster, atNothing, signal)
      const isRunning = ({ object, replicas }: Workload): boolean => replicas > 0 || scaled.has(object)
      const running = all.filter(isRunning)
      const paused = all.filter((workload) => !isRunning(workload))
      // As one they are paused and resumed. Our own note on one tells that a pause, or a resume, has come half its way.
      const isHalfWay = all.some(({ replicasBefore }) => replicasBefore !== undefined)
      if (running.length > 0 && paused.length > 0 && !isHalfWay)
        throw failure(
          'ConsumerNotQuiet',
          `consumer ${name}: ${objectsOf(running)} runs, ${objectsOf(paused)} has no replicas: scale all or none, or write them as consumers of their own`,
        )
      // A pod that ends may still work: it counts until it is gone.
      const inFlight = running.length > 0 ? 0 : all.reduce((sum, { pods }) => sum + pods.length, 0)
      return { state: running.length > 0 ? 'running' : 'paused', inFlight }
    },
    undoneBy: (signal) => undoneBy(cluster, workloads, ['replicas'], signal),
    async pause(fence) {
      await Promise.all(workloads.map((object) => scaleToNothing(cluster, object, fence)))
    },
    async resume(fence) {
      await Promise.all(workloads.map((object) => scaleBack(cluster, object, fence)))
      const { all, holds } = await untilWorkloads(
        cluster,
        workloads,
        { withinMs: within, signal: fence.signal },
        (now) => now.every(({ isUp }) => isUp),
      )
      if (!holds)
        throw failure(
          'ConsumerNotMoving',
          `consumer ${name}: not ready after ${within} ms: ${inTrouble(all.filter(({ isUp }) => !isUp))}`,
        )
    },
  }
}

const objectsOf = (all: readonly { object: string }[]): string => all.map(({ object }) => object).join(', ')
