import type { WorkflowHandle } from '@temporalio/client'
import { look, openRunAmong } from '../client/look.js'
import { handleOf, requireWorker, stateOf, tell } from '../client/runs.js'
import type { SteeringMessage } from '../domain/approval.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { RunState } from '../domain/run.js'
import { requesterOf } from './asking.js'
import type { Context } from './context.js'

export interface SteerOptions {
  by?: string
  reason?: string
  now?: boolean
}

/** The open run that was named. Throws `RunUnknown`, `WorkerMissing`. */
export async function openRun(context: Context, name: string): Promise<{ handle: WorkflowHandle; state: RunState }> {
  const place = await context.placeOf(name)
  const engine = await context.engine()
  await requireWorker(engine, place)
  const handle = await handleOf(engine, place)
  const state = await stateOf(handle)
  if (place.run !== undefined && state.run !== place.run)
    throw failure(
      'RunUnknown',
      `${place.run} is not open: the newest run of ${place.environment} is ${state.run || 'not planned yet'}`,
    )
  if (state.ending) {
    const { runs } = await look(engine, place, { command: 'history' })
    const open = openRunAmong(runs)
    if (open)
      throw failure(
        'RunUnknown',
        `run ${open.run} is open on ${place.environment}, but no workflow carries it`,
        undefined,
        {
          hint: `headgate recover ${open.run} shows what is known of it, and asks what to do`,
        },
      )
    const last = state.run === '' ? '' : `: ${state.run} ended, ${state.ending.outcome}`
    throw failure('RunUnknown', `no run is open on ${place.environment}${last}`)
  }
  return { handle, state }
}

/** Tells the run and says what it answered. */
export async function steer(
  context: Context,
  what: 'hold' | 'continue' | 'retry' | 'cancel',
  name: string,
  { by, reason, now }: SteerOptions,
): Promise<number> {
  const { handle, state } = await openRun(context, name)
  const message: SteeringMessage = {
    by: (await requesterOf(context, by)).by,
    ...(reason === undefined ? {} : { reason: reason.slice(0, 2_000) }),
    ...(now === undefined ? {} : { now }),
  }
  sayAnswer(context, what, state.run, await tell(handle, what, message))
  return EXIT.done
}

export function sayAnswer({ terminal }: Context, what: string, run: string, answer: string): void {
  terminal.say(`${run}: ${answer}`)
  terminal.say(`next  headgate watch ${run}`)
  terminal.answer({ schema: `headgate/${what}/1`, run, answer })
}
