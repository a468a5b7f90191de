import { recordGateOpen } from '../adapters/journal/runs.js'
import { unblockRoles } from './block-roles.js'
import type { Step } from './changing.js'
import { reopen } from './gate.js'

/** Opens the gate to whoever the run kept out. That it counts as open is journaled first. Returns the roles that may log in again. Twice is once. */
export async function letIn(step: Step): Promise<string[]> {
  await recordGateOpen(step.site.journal, step.run.name)
  step.run.gate = 'open'
  await reopen(step)
  return unblockRoles(step)
}
