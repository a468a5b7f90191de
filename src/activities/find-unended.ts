import type { Journal } from '../adapters/journal/journal.js'
import { findRun, type RunRecord } from '../adapters/journal/runs.js'
import { failure } from '../domain/failures.js'

/** Throws `RunTaken` where the run has ended: its workflow was reset, or a recovery ended it. */
export async function findUnended(journal: Journal, name: string): Promise<RunRecord> {
  const run = await findRun(journal, name)
  if (run.state === 'ended') throw failure('RunTaken', `run ${name} has ended: ${run.outcome}`)
  return run
}
