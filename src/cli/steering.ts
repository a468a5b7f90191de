import type { WorkflowHandle } from '@temporalio/client'
import { look, openRunAmong } from '../client/look.js'
import type { Engine } from '../client/connection.js'
import { handleOf, type Place, requireWorker, stateOf, tell } from '../client/runs.js'
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
  await requireNamed(engine, place, state)
  if (state.ending) {
    const open = openRunAmong((await look(engine, place, { command: 'history' })).runs)
    if (open) throw notCarried(open.run, place)
    const last = state.run === '' ? '' : `: ${state.run} ended, ${state.ending.outcome}`
    throw failure('RunUnknown', `no run is open on ${place.environment}${last}`)
  }
  return { handle, state }
}

/** Throws `RunUnknown` where another run was named than the one whose workflow answered. */
export async function requireNamed(engine: Engine, place: Place & { run?: string }, { run }: RunState): Promise<void> {
  if (place.run === undefined || run === place.run) return
  const { runs } = await look(engine, place, { command: 'history' })
  if (openRunAmong(runs)?.run === place.run) throw notCarried(place.run, place)
  throw failure(
    'RunUnknown',
    `${place.run} is not open: the newest run of ${place.environment} is ${run || 'not planned yet'}`,
  )
}

const notCarried = (run: string, { environment }: Place): Error =>
  failure('RunUnknown', `run ${run} is open on ${environment}, but no workflow carries it`, undefined, {
    hint: `headgate recover ${run} shows what is known of it, and asks what to do`,
  })

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
