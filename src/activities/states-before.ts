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
export async function statesBefore(at: At, kind: Kind): Promise<Map<string, string>> {
  return new Map(
    (await recordsBefore(at, kind)).flatMap(([name, state]) => (isState(state) ? [[name, state.state]] : [])),
  )
}

/** The consumers in whose group somebody was before this stage paused them. */
export async function groupsWithMembers(at: At): Promise<ReadonlySet<string>> {
  const hadSome = (state: unknown): boolean =>
    isState(state) && 'members' in state && typeof state.members === 'number' && state.members > 0
  return new Set((await recordsBefore(at, 'consumer')).filter(([, state]) => hadSome(state)).map(([name]) => name))
}

/** What was noted of this stage, by name. */
async function recordsBefore({ site, run, stageNumber }: At, kind: Kind): Promise<[string, unknown][]> {
  const prefix = `${stageNumber}/`
  return [...(await priorStates(site.journal, run.name, kind))].flatMap(([name, state]) =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), state]] : [],
  )
}

const isState = (state: unknown): state is { state: string } =>
  typeof state === 'object' && state !== null && 'state' in state && typeof state.state === 'string'
