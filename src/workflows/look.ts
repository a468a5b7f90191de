import { proxyActivities } from '@temporalio/workflow'
import { z } from 'zod'
import type { Activities } from '../activities/index.js'
import { failure } from '../domain/failures.js'
import { type LookAnswers, type LookCommand, LookInput } from '../domain/look.js'

const LOOKS = {
  startToCloseTimeout: '5m',
  heartbeatTimeout: '10s',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '200ms', maximumAttempts: 3 },
} as const

const looks = proxyActivities<Activities>(LOOKS)

/** It takes as long as restoring a backup and migrating it. */
const rehearsals = proxyActivities<Pick<Activities, 'lookRehearse'>>({ ...LOOKS, startToCloseTimeout: '24h' })

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
  rehearse: 'lookRehearse',
} as const satisfies Record<LookCommand, keyof Activities>

/** A command that needs the database and changes nothing: one short workflow on the worker beside it. */
export async function look(input: unknown): Promise<LookAnswers[LookCommand]> {
  const parsed = LookInput.safeParse(input)
  if (!parsed.success) throw failure('InputInvalid', z.prettifyError(parsed.error))
  const { command } = parsed.data
  const ask: (question: LookInput) => Promise<LookAnswers[LookCommand]> =
    command === 'rehearse' ? rehearsals.lookRehearse : looks[ANSWERS[command]]
  return ask(parsed.data)
}
