import { activityInfo, getClient } from '@temporalio/activity'
import type { Activities } from '../../src/activities/index.js'
import type { PlanSummary } from '../../src/domain/plan.js'
import { summaryOf } from './summary.js'

const BOTH: PlanSummary['stages'] = [
  { number: 1, phase: 'expand', count: 1, target: '0002', approval: false, deploysImage: true },
  { number: 2, phase: 'contract', count: 1, target: '0003', approval: true, deploysImage: false },
]

export interface Script {
  summary?: Partial<PlanSummary>
  /** Called before each activity answers; throwing makes it fail. */
  on?: (activity: string, stage: number) => Promise<void> | void
  overrides?: Partial<Activities>
}

/** Activities that change nothing and remember in which order they were called. */
export function noopActivities(script: Script = {}): { activities: Partial<Activities>; calls: string[] } {
  const calls: string[] = []
  const step =
    (name: string) =>
    async (_run: string, stage: number): Promise<string> => {
      calls.push(name)
      await script.on?.(name, stage)
      return ''
    }
  const summary = { ...summaryOf(BOTH), ...script.summary }
  const activities: Partial<Activities> = {
    plan: async () => {
      calls.push('plan')
      await script.on?.('plan', 0)
      return summary
    },
    preflight: async () => step('preflight')('', 0),
    confirmPlan: async () => {
      calls.push('confirmPlan')
      return { same: true }
    },
    checkApproval: async (_run, _stage, _decision, message) => {
      calls.push('checkApproval')
      return {
        accepted: message.by !== 'mallory',
        by: message.by,
        verified: false,
        note: message.by === 'mallory' ? 'not an approver' : 'ok',
      }
    },
    holdAutodeploy: step('holdAutodeploy'),
    releaseAutodeploy: step('releaseAutodeploy'),
    pauseConsumers: step('pauseConsumers'),
    quiesceWriters: step('quiesceWriters'),
    takeBackup: step('takeBackup'),
    migrateStage: step('migrateStage'),
    verify: step('verify'),
    restartServices: step('restartServices'),
    smoke: step('smoke'),
    resumeConsumers: step('resumeConsumers'),
    redeployPrevious: step('redeployPrevious'),
    releaseWriters: step('releaseWriters'),
    putBack: async (run, stage) => {
      await step('putBack')(run, stage)
      return { state: 'restored', text: 'equal to before the run' }
    },
    restoreBackup: step('restoreBackup'),
    repairHistory: step('repairHistory'),
    initDatabase: step('initDatabase'),
    openRecovery: async () => {
      calls.push('openRecovery')
      return summary
    },
    planFix: async (_run, _stage, { approved }) => {
      calls.push('planFix')
      return { same: approved === summary.digest, summary }
    },
    observeRecovered: async (run, _stage, { way }) => {
      calls.push('observeRecovered')
      return {
        outcome: 'rolled-back',
        reason: `${way} was chosen in ${run}`,
        database: 'at 0002',
        services: 'api on 1',
        isOpen: false,
      }
    },
    conclude: async (_run, ending, { cancelWorkflow }) => {
      calls.push(`conclude ${ending.outcome}`)
      const { workflowExecution } = activityInfo()
      if (cancelWorkflow && workflowExecution)
        await getClient().workflow.getHandle(workflowExecution.workflowId).cancel()
      return ending
    },
    notify: async () => {
      calls.push('notify')
    },
    ...script.overrides,
  }
  return { activities, calls }
}
