import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow'
import type { RunState } from '../domain/run.js'

/** Names and shapes of what can be said to a run; the client sends them by these definitions. */
export const approveUpdate = defineUpdate<string, [unknown]>('approve')
export const rejectUpdate = defineUpdate<string, [unknown]>('reject')
/** For the Temporal UI, and for queueing while no worker runs. */
export const approveSignal = defineSignal<[unknown]>('approveSignal')
export const rejectSignal = defineSignal<[unknown]>('rejectSignal')
export const holdUpdate = defineUpdate<string, [unknown]>('hold')
export const continueUpdate = defineUpdate<string, [unknown]>('continue')
export const retryUpdate = defineUpdate<string, [unknown]>('retry')
export const cancelUpdate = defineUpdate<string, [unknown]>('cancel')
export const stateQuery = defineQuery<RunState>('state')
