import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client'
import { failedWith, failure, knownFailure, messageOf, rootMessageOf } from '../domain/failures.js'
import { serviceCallWorkflowId } from '../domain/names.js'
import type { ServiceCall } from '../domain/service-call.js'
import { answerOf } from './answer.js'
import type { Engine } from './connection.js'
import { requireWorker } from './runs.js'

/** So long a change that is not wanted any more may take to end there. */
const END_WITHIN_MS = 10_000

/** Calls the worker that serves `queue`. Throws what that one found wrong; `ServiceOutOfReach` where none answers; the signal's reason when that aborts. */
export async function callService(
  engine: Pick<Engine, 'client' | 'namespace'>,
  queue: string,
  call: ServiceCall,
  signal: AbortSignal,
): Promise<unknown> {
  signal.throwIfAborted()
  const { project, environment, service } = call
  let handle: WorkflowHandle<() => Promise<unknown>> | undefined
  try {
    await requireWorker(engine, { project, environment, queue })
    handle = await engine.client.workflow.start<(input: ServiceCall) => Promise<unknown>>('serviceCall', {
      workflowId: serviceCallWorkflowId(project, environment, service, randomUUID().slice(0, 8)),
      taskQueue: queue,
      args: [call],
      workflowExecutionTimeout: '13h',
      staticSummary: `${'ask' in call.call ? 'look at' : 'change'} service ${service}`,
    })
    return await unlessAborted(answerOf(handle, queue), signal)
  } catch (error) {
    if (handle && !(error instanceof WorkflowFailedError)) await end(handle)
    signal.throwIfAborted()
    if (failedWith(error, 'WorkerMissing')) throw outOfReach(service, queue, messageOf(error))
    throw toldBy(queue, service, error)
  }
}

/** What the worker there found wrong is about its own machine. */
function toldBy(queue: string, service: string, error: unknown): unknown {
  const known = knownFailure(error)
  const who = `service ${service}, by its worker on ${queue}`
  if (known?.code === 'FenceLost') return error
  if (known) return failure(known.code, `${who}: ${known.message}`, undefined, known.detail)
  return failure('ServiceOutOfReach', `${who}: it did not get it done: ${rootMessageOf(error)}`)
}

/** A change that is not wanted any more, or of which nothing will be heard, ends: by itself, or for whoever comes to it later. */
async function end(handle: WorkflowHandle<() => Promise<unknown>>): Promise<void> {
  const over = handle
    .cancel()
    .then(() => handle.result())
    .then(
      () => true,
      (error: unknown) => error instanceof WorkflowFailedError,
    )
  if (await Promise.race([over, pause(END_WITHIN_MS, false)])) return
  await Promise.race([handle.terminate('nobody waits for it').catch(() => {}), pause(END_WITHIN_MS)])
}

const outOfReach = (service: string, queue: string, why: string): Error =>
  failure('ServiceOutOfReach', `service ${service} is out of reach: ${why}`, undefined, {
    hint: `start \`headgate worker --queue ${queue}\` on the host of ${service}`,
  })

/** Throws the signal's reason as soon as that aborts. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
  })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  work.catch(() => {})
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', stop))
}
