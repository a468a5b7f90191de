import type { Fence } from '../../domain/fence.js'
import type { ServiceAnswers, ServiceCall, ServiceChange, ServiceQuestion } from '../../domain/service-call.js'
import type { Service } from './port.js'

/** What a worker is to services that name a queue. */
export interface Reach {
  /** It serves those of this queue, on its own host, and nothing else; undefined on the worker beside the database. */
  queue: string | undefined
  /** Reaches the worker that serves `queue`: asks it, or tells it the journal's id of a change. Throws what that one threw, `ServiceOutOfReach` where none answers. */
  callService: (queue: string, service: string, call: ServiceCall['call'], signal: AbortSignal) => Promise<unknown>
}

/** A service on another host, as the worker there has it: `there` tells only what its kind can do. */
export function elsewhere(there: Service, queue: string, callService: Reach['callService']): Service {
  const { name, canStop, currentImage, imageOf, undoneBy } = there
  const ask = <Q extends ServiceQuestion['ask']>(
    question: Extract<ServiceQuestion, { ask: Q }>,
    signal: AbortSignal,
  ): Promise<ServiceAnswers[Q]> => callService(queue, name, question, signal) as Promise<ServiceAnswers[Q]>
  const change = async (wanted: ServiceChange, fence: Fence): Promise<void> => {
    await fence.check()
    const id = await fence.recordServiceChange(name, wanted)
    await callService(queue, name, { change: id }, fence.signal)
  }
  return {
    name,
    canStop,
    current: async (signal) => (await ask({ ask: 'current' }, signal)) ?? undefined,
    isRunning: async (signal) => (await ask({ ask: 'isRunning' }, signal)) ?? undefined,
    exists: async (tag, signal, image) => (await ask({ ask: 'exists', tag, ...withImage(image) }, signal)) ?? undefined,
    ...(currentImage && {
      currentImage: async (signal) => (await ask({ ask: 'currentImage' }, signal)) ?? undefined,
    }),
    ...(imageOf && {
      imageOf: (tag, which) => ask({ ask: 'imageOf', tag, which }, new AbortController().signal),
    }),
    ...(undoneBy && { undoneBy: (signal) => ask({ ask: 'undoneBy' }, signal) }),
    deploy: (tag, fence, image) => change({ verb: 'deploy', tag, ...withImage(image) }, fence),
    start: (fence) => change({ verb: 'start' }, fence),
    stop: (fence) => change({ verb: 'stop' }, fence),
  }
}

const withImage = (image: string | undefined): { image?: string } => (image === undefined ? {} : { image })

/** Asks a service here for who is elsewhere: what it cannot tell is null. */
export async function answer(
  service: Service,
  question: ServiceQuestion,
  signal: AbortSignal,
): Promise<ServiceAnswers[keyof ServiceAnswers]> {
  switch (question.ask) {
    case 'current':
      return (await service.current(signal)) ?? null
    case 'isRunning':
      return (await service.isRunning(signal)) ?? null
    case 'currentImage':
      return (await service.currentImage?.(signal)) ?? null
    case 'undoneBy':
      return (await service.undoneBy?.(signal)) ?? []
    case 'exists':
      return (await service.exists(question.tag, signal, question.image)) ?? null
    case 'imageOf':
      return (await service.imageOf?.(question.tag, question.which)) ?? ''
  }
}

/** Does to a service here what an attempt elsewhere has asked for. */
export function carryOut(service: Service, change: ServiceChange, fence: Fence): Promise<void> {
  switch (change.verb) {
    case 'deploy':
      return service.deploy(change.tag, fence, change.image)
    case 'start':
      return service.start(fence)
    case 'stop':
      return service.stop(fence)
  }
}
