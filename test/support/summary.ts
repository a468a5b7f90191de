import type { PlanSummary } from '../../src/domain/plan.js'

export const DIGEST = 'a'.repeat(64)
export const RUN = 'staging-20260101-000000'

/** What the plan's activity answers for these stages. */
export const summaryOf = (stages: PlanSummary['stages'], rest: Partial<PlanSummary> = {}): PlanSummary => ({
  run: RUN,
  digest: DIGEST,
  database: 'shop',
  stages,
  pauses: true,
  holds: false,
  serves: true,
  clones: false,
  approvalTimeoutMs: 60_000,
  approvalsNeeded: 1,
  heartbeatMs: 5_000,
  holdOnFailure: false,
  searchAttributes: false,
  ...rest,
})
