import type { RunRecord } from '../adapters/journal/runs.js'
import { failure } from '../domain/failures.js'

/** For a workflow that still asks for something: it was reset, or a recovery has ended the run. */
export const hasEnded = ({ name, outcome }: RunRecord): Error =>
  failure('RunTaken', `run ${name} has ended: ${outcome}`)
