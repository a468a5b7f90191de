import { proxyActivities } from '@temporalio/workflow'
import { z } from 'zod'
import type { ServiceActivities } from '../activities/index.js'
import { failure } from '../domain/failures.js'
import { ServiceCall } from '../domain/service-call.js'

const EVERY = {
  /** Whoever serves the queue takes it up at once: for longer nobody is there. */
  scheduleToStartTimeout: '15s',
  heartbeatTimeout: '10s',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
} as const

/** One try: the attempt that asked for it makes the next one, with a fence of its own. */
const changes = proxyActivities<ServiceActivities>({
  ...EVERY,
  startToCloseTimeout: '12h',
  retry: { maximumAttempts: 1 },
})
const questions = proxyActivities<ServiceActivities>({
  ...EVERY,
  startToCloseTimeout: '5m',
  retry: { initialInterval: '200ms', maximumAttempts: 3 },
})

/** A run's worker calls the one beside a service on another host. */
export async function serviceCall(input: unknown): Promise<unknown> {
  const { data, error } = ServiceCall.safeParse(input)
  if (error) throw failure('InputInvalid', z.prettifyError(error))
  return ('change' in data.call ? changes : questions).callService(data)
}
