import { listDecisions } from '../adapters/journal/decisions.js'
import type { Journal } from '../adapters/journal/journal.js'
import type { RunRecord } from '../adapters/journal/runs.js'
import { failure } from '../domain/failures.js'
import type { Plan } from '../domain/plan.js'

/**
 * Throws `ApprovalRefused` where the plan asks for an approval of the stage and too few people have given it for the plan as
 * it is. Asks the journal: what a workflow says of approvals, whoever can write to Temporal can have it say.
 */
export async function requireApproved(
  journal: Journal,
  { name, planDigest }: Pick<RunRecord, 'name' | 'planDigest'>,
  { stages, approvers }: Pick<Plan, 'stages' | 'approvers'>,
  stage: number,
): Promise<void> {
  if (!stages.find(({ number }) => number === stage)?.approval) return
  const decisions = (await listDecisions(journal, name)).filter(
    ({ stage: of, accepted, digest }) => accepted && of === stage && digest === planDigest,
  )
  const rejection = decisions.find(({ decision }) => decision === 'reject')
  if (rejection) throw failure('ApprovalRefused', `stage ${stage} was rejected by ${rejection.by}`)
  const by = new Set(decisions.map((decision) => decision.by))
  if (by.size >= approvers.count) return
  throw failure(
    'ApprovalRefused',
    `the journal has ${by.size} of the ${approvers.count} approvals that stage ${stage} needs`,
  )
}
