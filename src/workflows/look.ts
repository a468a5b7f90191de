import { proxyActivities } from '@temporalio/workflow'
import { z } from 'zod'
import type { Activities } from '../activities/index.js'
import { failure } from '../domain/failures.js'
import { type LookAnswers, type LookCommand, LookInput } from '../domain/look.js'

const looks = proxyActivities<Activities>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '10s',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '200ms', maximumAttempts: 3 },
})

const ANSWERS = {
  plan: 'lookPlan',
  info: 'lookInfo',
  database: 'lookDatabase',
  history: 'lookHistory',
  report: 'lookReport',
  backups: 'lookBackups',
  backup: 'lookBackup',
  verifyBackup: 'lookVerifyBackup',
  doctor: 'lookDoctor',
  evidence: 'lookEvidence',
} as const satisfies Record<LookCommand, keyof Activities>

/** A command that needs the database and changes nothing: one short workflow on the worker beside it. */
export async function look(input: unknown): Promise<LookAnswers[LookCommand]> {
  const parsed = LookInput.safeParse(input)
  if (!parsed.success) throw failure('InputInvalid', z.prettifyError(parsed.error))
  const ask: (question: LookInput) => Promise<LookAnswers[LookCommand]> = looks[ANSWERS[parsed.data.command]]
  return ask(parsed.data)
}
