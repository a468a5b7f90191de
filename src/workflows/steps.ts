import { duration } from '../domain/amounts.js'
import { isUndo, type StageSummary } from '../domain/plan.js'
import type { StepName } from '../domain/run.js'
import type { StepPromise } from './proxies.js'

/** What the runbook says while a step runs, and what it may be promised. */
interface StepRule {
  activity:
    | 'preflight'
    | 'restoreBackup'
    | 'tidyBackups'
    | 'holdAutodeploy'
    | 'releaseAutodeploy'
    | 'pauseConsumers'
    | 'quiesceWriters'
    | 'takeBackup'
    | 'migrateStage'
    | 'verify'
    | 'restartServices'
    | 'smoke'
    | 'resumeConsumers'
    | 'redeployPrevious'
    | 'releaseWriters'
    | 'repairHistory'
    | 'initDatabase'
  promise: StepPromise
  title: (stage: StageSummary | undefined) => string
}

function migrate(stage: StageSummary | undefined): string {
  if (!stage) return 'migrate migrations'
  const { count, phase, target, rehearsedMs } = stage
  const what = (phase: string): string => `${count} ${phase} ${count === 1 ? 'migration' : 'migrations'}`
  return isUndo(phase)
    ? `take back ${what(phase.replace('undo-', ''))}, down to ${target}`
    : `migrate ${what(phase)} to ${target}${rehearsedMs === undefined ? '' : `, ${duration(rehearsedMs)} in the rehearsal`}`
}

export const RULES = {
  preflight: { activity: 'preflight', promise: 'long', title: () => 'look at rights, tools, consumers and services' },
  'hold-autodeploy': { activity: 'holdAutodeploy', promise: 'long', title: () => 'hold what deploys by itself' },
  'pause-consumers': {
    activity: 'pauseConsumers',
    promise: 'long',
    title: () => 'pause consumers until they are proven quiet',
  },
  'quiesce-writers': { activity: 'quiesceWriters', promise: 'long', title: () => 'stop writers and close the gate' },
  backup: { activity: 'takeBackup', promise: 'long', title: () => 'take a backup and verify it' },
  migrate: { activity: 'migrateStage', promise: 'long', title: migrate },
  verify: { activity: 'verify', promise: 'long', title: () => 'verify ledger, indexes and checks' },
  'restart-services': {
    activity: 'restartServices',
    promise: 'long',
    title: (stage) => (stage?.deploysImage ? 'open the gate, deploy the new image' : 'open the gate, start services'),
  },
  smoke: { activity: 'smoke', promise: 'long', title: () => 'smoke-test the services' },
  'resume-consumers': {
    activity: 'resumeConsumers',
    promise: 'certain',
    title: () => 'resume consumers until they are proven moving',
  },
  'release-autodeploy': {
    activity: 'releaseAutodeploy',
    promise: 'certain',
    title: () => 'let go on what deploys by itself',
  },
  'redeploy-previous': { activity: 'redeployPrevious', promise: 'certain', title: () => 'redeploy the previous image' },
  'restore-backup': {
    activity: 'restoreBackup',
    promise: 'restoring',
    title: () => 'swap the backup in, keep what is live as quarantine',
  },
  'tidy-backups': { activity: 'tidyBackups', promise: 'quick', title: () => 'drop the clone, the dump is kept' },
  repair: { activity: 'repairHistory', promise: 'long', title: () => "mark in the migrator's history" },
  'init-db': {
    activity: 'initDatabase',
    promise: 'long',
    title: () => 'make a fresh database beside, prove it, put it in place',
  },
  'release-writers': { activity: 'releaseWriters', promise: 'certain', title: () => 'start what was stopped' },
} as const satisfies Partial<Record<StepName, StepRule>>

export type RunbookStep = keyof typeof RULES

/** Whether a cancel stops the step, or comes too late. In a contract stage the way back is gone once it has migrated. */
export function cancelStops(step: RunbookStep, stage: StageSummary | undefined): boolean {
  if (
    step === 'tidy-backups' ||
    step === 'restore-backup' ||
    step === 'resume-consumers' ||
    step === 'release-autodeploy' ||
    step === 'redeploy-previous' ||
    step === 'release-writers'
  )
    return false
  return !(stage?.phase === 'contract' && (step === 'verify' || step === 'restart-services' || step === 'smoke'))
}
