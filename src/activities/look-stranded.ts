import { proveCheck } from '../adapters/check/prove.js'
import { backupsOfStage } from '../adapters/journal/backups.js'
import { listSteps, recordEvent } from '../adapters/journal/steps.js'
import { databaseOid } from '../adapters/postgres/swap.js'
import type { Manifest } from '../domain/manifest.js'
import { type DatabaseFound, type ImageFound, type Recovery, recoveryFor, type Stranded } from '../domain/recovery.js'
import { captureOf } from './capture.js'
import { account, fenced, type Step } from './changing.js'
import { onClosedOrOpen, reopen } from './gate.js'
import { type Around, lookAround } from './look-around.js'
import type { Dependencies } from './site.js'
import { hasSwapped } from './swap-in.js'

/** What should be done with the run, and what it was found to be. */
export type StrandedRecovery = Recovery & { database: DatabaseFound; isSwapped: boolean }

/**
 * Looks at everything a run left that nobody carries any more, and says what should be done with it. Takes the fence: what the
 * old run still does is ended first. Removes unfinished backups of its stage; changes nothing else. Twice is once.
 */
export const lookStranded =
  (dependencies: Dependencies) =>
  (runName: string, stageNumber: number): Promise<StrandedRecovery> =>
    fenced(dependencies, 'look-around', runName, stageNumber, async (step) => {
      await discardUnfinished(step)
      const isSwapped = await hasSwapped(step)
      const found = await strandedAt(step, isSwapped)
      const recovery = { ...recoveryFor(found), database: found.database, isSwapped }
      // Whoever must decide must be able to look.
      if (recovery.do === 'ask' && found.database !== 'unreachable') await reopen(step)
      await recordEvent(step.site.journal, runName, 'recovery', { ...recovery, found })
      return recovery
    })

async function discardUnfinished({ site, run, stageNumber, fence }: Step): Promise<void> {
  const owner = { project: run.project, environment: run.environment, run: run.name, stage: stageNumber }
  for (const engine of Object.values(site.backups)) await engine.discard(owner, fence)
}

async function strandedAt(step: Step, isSwapped: boolean): Promise<Stranded> {
  const { site, run, stage, stageNumber } = step
  const steps = await listSteps(site.journal, run.name)
  const isBegun = (name: string): boolean => steps.some((one) => one.step === name && one.stage === stageNumber)
  const isDone = (name: string): boolean =>
    steps.some((one) => one.step === name && one.stage === stageNumber && one.state === 'done')
  const backups = (await backupsOfStage(site.journal, run.name, stageNumber))
    .filter(({ state }) => state === 'valid')
    .map(({ manifest }) => manifest)
  const capture = await captureOf(step)
  const around = capture && !isSwapped && (await isThere(step)) ? await lookAround(step, capture, backups) : undefined
  const isClosed = around !== undefined && around.found.openBecause === undefined
  return {
    begun: capture !== undefined || isBegun('restart-services') || isBegun('restore-backup'),
    gate: isClosed ? 'closed' : 'open',
    database: await databaseFound(step, isSwapped, around),
    // Behind the gate nobody has changed what was verified; and nobody is let in to ask again.
    verified: isClosed ? isDone('verify') : await isVerified(step, around),
    contractStarted: run.contractStarted,
    image: await imageFound(step),
    deploysImage: stage?.deploysImage ?? false,
    backup: backups.some((one: Manifest) => one.gate === 'closed'),
  }
}

const isThere = async ({ control, run }: Step): Promise<boolean> =>
  (await databaseOid(control, run.database)) !== undefined

async function databaseFound(step: Step, isSwapped: boolean, around: Around | undefined): Promise<DatabaseFound> {
  if (!(await isThere(step))) return 'unreachable'
  // A run that restores is at its target once the backup is in place; any other is back where it began.
  if (isSwapped) return step.stage?.phase === 'restore' ? 'at-target' : 'as-before'
  if (!around) return 'as-before'
  const { found } = around
  if (found.unchanged || found.rowsEqual) return 'as-before'
  const missing = await missingFromLedger(step)
  if (missing === undefined) return 'partial'
  if (missing.length === 0) return 'at-target'
  return missing.every(({ transactional }) => transactional) ? 'prefix' : 'partial'
}

/** What the ledger lacks of the stage; undefined where it cannot tell, or tells of something half done. */
async function missingFromLedger(step: Step): Promise<{ transactional: boolean }[] | undefined> {
  const { site, plan, stage } = step
  const ledger = await onClosedOrOpen(step, (session) => site.migrator.ledger(session, plan.tag)).catch(() => undefined)
  if (!ledger || ledger.dirty !== undefined) return undefined
  const applied = new Set(ledger.applied.map(({ version }) => version))
  return (stage?.migrations ?? []).filter(({ version }) => !applied.has(version))
}

/** Asked now: with the gate open, what was verified once may have been changed since. */
async function isVerified(step: Step, around: Around | undefined): Promise<boolean> {
  const { site, plan, run, stage, fence } = step
  if (around && around.comparison.newInvalidIndexes.length > 0) return false
  const context = {
    tag: plan.tag,
    expectedVersion: stage?.target,
    ignoring: [],
    run: run.name,
    onSession: (session: Parameters<typeof account>[1]) => account(fence, session),
  }
  for (const check of site.verify) {
    const result = await proveCheck(check, context, { signal: fence.signal })
    if (!result.ok) return false
  }
  return true
}

async function imageFound({ site, plan, stage, stageNumber, fence }: Step): Promise<ImageFound> {
  const isDeployed = plan.stages.some(({ number, deploysImage }) => deploysImage && number < stageNumber)
  const now = new Map<string, string | undefined>()
  for (const { service } of site.services) now.set(service.name, await service.current(fence.signal))
  const runs = (after: boolean): boolean =>
    plan.services.every(({ name, previous, next }) => now.get(name) === (after ? (next ?? previous) : previous))
  if (runs(isDeployed)) return 'before'
  return stage?.deploysImage && runs(true) ? 'after' : 'other'
}
