import { type ActivityOptions, proxyActivities } from '@temporalio/workflow'
import type { Activities } from '../activities/index.js'

/** What a step is promised: policy lives here and nowhere else. */
export type StepPromise = 'quick' | 'long' | 'certain' | 'restoring'

/**
 * On all: the SDK's docstring calls this type the default, its code sends TRY_CANCEL; and without a heartbeat nobody hears
 * of a cancel or a death. At least three attempts: a worker's graceful stop uses one up.
 */
const every = { cancellationType: 'WAIT_CANCELLATION_COMPLETED' } as const

const PROMISES: Record<StepPromise, ActivityOptions> = {
  /** Seconds long. */
  quick: { startToCloseTimeout: '10m', retry: { initialInterval: '500ms', maximumInterval: '5s', maximumAttempts: 5 } },
  /** Hours long. */
  long: { startToCloseTimeout: '12h', retry: { initialInterval: '1s', maximumInterval: '10s', maximumAttempts: 5 } },
  /** As `certain`, for what may take hours with a large database: a death is told by the heartbeat, not by this. */
  restoring: {
    startToCloseTimeout: '3d',
    retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: 30 },
  },
  /** Past the point of no return, and every undo: many attempts, counted (a worker that is down uses none up), then a person is told. */
  certain: { startToCloseTimeout: '1h', retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: 30 } },
}

/** The activities under one promise. `summary` is what the Temporal UI shows beside the step. */
export function activities(promise: StepPromise, heartbeatMs: number, summary: string): Activities {
  return proxyActivities<Activities>({ ...every, ...PROMISES[promise], heartbeatTimeout: heartbeatMs, summary })
}
