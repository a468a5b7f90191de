import { setTimeout as pause } from 'node:timers/promises'
import { handleOf, stateOf, tell } from '../../client/runs.js'
import { deploy, PLACE, type Play, type TakePart } from './deploying.js'

const PERSON = 'ana@example.com'
/** Long enough to look at the Temporal UI, or to be quicker than the demo there. */
const THINKS_MS = 4_000

/** Does what a person does at an approval, and says so. */
export function approvesSlowly({ ground, signal }: Play): TakePart {
  return async (event, { aside }) => {
    if (event.event !== 'waiting') return
    aside(
      'The gate is open again: release 2 serves, orders go in. A run may wait here for days; it costs nothing. A person',
      `reads the plan and types the command above, or sends the update in the UI. Here the demo does, in ${THINKS_MS / 1_000} s.`,
    )
    await pause(THINKS_MS, undefined, { signal })
    aside(`$ ${event.command} --by ${PERSON}`, await approve({ ground }))
  }
}

/** Brings the shop to release 2, without a show. */
export async function deployTheSecond(play: Play): Promise<void> {
  const silent = { ...play.terminal, live: false, json: false, say: () => {}, note: () => {}, answer: () => {} }
  const { ending } = await deploy({ ...play, terminal: silent }, '2', async (event) => {
    if (event.event === 'waiting') await approve(play)
  })
  play.terminal.say(`release 2 was deployed first, without the show: ${ending.outcome}`)
}

/** By the same update that `headgate approve` sends. Returns the run's answer. */
async function approve({ ground }: Pick<Play, 'ground'>): Promise<string> {
  const handle = await handleOf(ground.servers.engine, PLACE)
  const { run, stage, digest } = await stateOf(handle)
  return tell(handle, 'approve', { by: PERSON, digest, run, stage })
}
