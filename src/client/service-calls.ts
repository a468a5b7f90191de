import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
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
  try {
    await requireWorker(engine, { project, environment, queue })
    const handle = await engine.client.workflow.start<(input: ServiceCall) => Promise<unknown>>('serviceCall', {
      workflowId: serviceCallWorkflowId(project, environment, service, randomUUID().slice(0, 8)),
      taskQueue: queue,
      args: [call],
      workflowExecutionTimeout: '13h',
      staticSummary: `${'ask' in call.call ? 'look at' : 'change'} service ${service}`,
    })
    const answer = answerOf(handle, queue)
    return await Promise.race([answer, aborted(signal)]).finally(async () => {
      if (!signal.aborted) return
      await handle.cancel().catch(() => {})
      await Promise.race([answer.catch(() => {}), pause(END_WITHIN_MS)])
    })
  } catch (error) {
    signal.throwIfAborted()
    if (failedWith(error, 'WorkerMissing')) throw outOfReach(service, queue, messageOf(error))
    if (knownFailure(error)) throw error
    throw failure(
      'ServiceOutOfReach',
      `service ${service}: its worker on ${queue} did not get it done: ${rootMessageOf(error)}`,
    )
  }
}

const outOfReach = (service: string, queue: string, why: string): Error =>
  failure('ServiceOutOfReach', `service ${service} is out of reach: ${why}`, undefined, {
    hint: `start \`headgate worker --queue ${queue}\` on the host of ${service}`,
  })

/** Never settles but by throwing. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
