import type { Journal } from '../adapters/journal/journal.js'
import type { RunRecord } from '../adapters/journal/runs.js'
import { listEvents } from '../adapters/journal/steps.js'
import { BY_HAND } from '../domain/names.js'

/** Why nobody carries the run any more, as the reconciler found it; undefined where somebody does, or it waits for a person. */
export async function lostBecause(journal: Journal, run: RunRecord): Promise<string | undefined> {
  if (run.outcome !== undefined) return undefined
  if (run.carrier === BY_HAND) return 'a person has taken it over by hand'
  const events = await listEvents(journal, run.name)
  const told = events.findLast(({ type, body }) => type === 'gone' && body.carrier === run.carrier)
  return told && String(told.body.why)
}
