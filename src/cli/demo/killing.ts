import { setTimeout as pause } from 'node:timers/promises'
import type { WorkflowHandle } from '@temporalio/client'
import { takeoversIn } from '../../client/takeovers.js'
import type { Deployment, Play, TakePart } from './deploying.js'

/** The migration takes seven seconds; by then it is in the middle of it. */
const INTO_IT_MS = 2_500

/** Kills the worker while it migrates, and starts another one. `killed` settles when that one is ready. */
export function killsTheWorker(play: Play): { takePart: TakePart; killed: () => Promise<void> } {
  let killing: Promise<void> | undefined
  const takePart: TakePart = async (event, deployment) => {
    if (killing || event.event !== 'step' || event.step !== 'migrate') return
    // Beside what is shown: the run goes on meanwhile.
    killing = kill(play, deployment)
    killing.catch(() => {})
  }
  return { takePart, killed: async () => killing }
}

async function kill({ ground, signal }: Play, { aside }: Deployment): Promise<void> {
  await pause(INTO_IT_MS, undefined, { signal })
  const { workerPid } = ground
  await ground.killWorker()
  aside(
    `$ kill -9 ${workerPid}`,
    'The worker is gone in the middle of the migration. Another one is started: when the heartbeat has been silent for 3 s,',
    'Temporal gives it the step. It makes sure that nothing of the first attempt is left, looks what became of it, goes on.',
  )
  await ground.startWorker()
  aside(`worker ${ground.workerPid} is ready`)
}

/** The takeover as the run's history has it; empty when there was none. */
export async function takeoverLines(handle: WorkflowHandle): Promise<string[]> {
  const found = await takeoversIn(handle)
  return found
    .filter(({ activity }) => activity.startsWith('migrate'))
    .map(
      ({ eventId, activity, attempt, lastFailure }) =>
        `event ${eventId} ActivityTaskStarted, ${activity}: attempt ${attempt}, last failure "${lastFailure}"`,
    )
}
