import { priorStates, recordPriorState, replacePriorState } from '../adapters/journal/steps.js'
import type { Step } from './changing.js'

type Kind = 'consumer' | 'service' | 'autodeploy' | 'role'
type At = Pick<Step, 'site' | 'run' | 'stageNumber'>

/** Keeps what one was like before this stage touched it. The first record stands: a later attempt finds what an earlier one did. */
export async function recordStateBefore(
  { site, run, stageNumber }: At,
  kind: Kind,
  name: string,
  state: { state: string },
): Promise<void> {
  await recordPriorState(site.journal, run.name, kind, `${stageNumber}/${name}`, state)
}

/** As `recordStateBefore`, in the place of what an earlier attempt found: somebody else has changed it since. */
export async function replaceStateBefore(at: At, kind: Kind, name: string, state: { state: string }): Promise<void> {
  await replacePriorState(at.site.journal, at.run.name, kind, `${at.stageNumber}/${name}`, state)
}

/** By name, what each was before this stage touched it; one that is not in it was not touched. Between two stages people may do as they like. */
export async function statesBefore({ site, run, stageNumber }: At, kind: Kind): Promise<Map<string, string>> {
  const prefix = `${stageNumber}/`
  const states = [...(await priorStates(site.journal, run.name, kind))].filter(([name]) => name.startsWith(prefix))
  return new Map(states.flatMap(([name, state]) => (isState(state) ? [[name.slice(prefix.length), state.state]] : [])))
}

const isState = (state: unknown): state is { state: string } =>
  typeof state === 'object' && state !== null && 'state' in state && typeof state.state === 'string'
