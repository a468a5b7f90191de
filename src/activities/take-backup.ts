import { backupsOfStage, recordBackup } from '../adapters/journal/backups.js'
import { listDecisions } from '../adapters/journal/decisions.js'
import { allPriorStates } from '../adapters/journal/steps.js'
import { isOpen } from '../adapters/postgres/gate.js'
import { size } from '../domain/amounts.js'
import type { Manifest } from '../domain/manifest.js'
import { failure } from '../domain/failures.js'
import { backupName } from '../domain/names.js'
import { changing, type Step } from './changing.js'
import { closeGate, reopen } from './gate.js'
import type { Dependencies } from './site.js'

/** Takes the plan's backups behind the closed gate (a dump where it cannot be closed), verifies each, and lets the migrator in. */
export const takeBackup = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'backup',
    observe: async (step) => {
      if (step.plan.backups.length === 0) {
        await reopen(step)
        return 'no backup: the configuration says so'
      }
      const taken = (await backupsOfStage(step.site.journal, step.run.name, step.stageNumber)).filter(
        ({ state }) => state === 'valid',
      )
      if (!step.plan.backups.every((kind) => taken.some(({ manifest }) => manifest.kind === kind))) return undefined
      // Still shut since they were taken: the sessions of taking them are not counted yet.
      if (step.run.gate === 'closed' && !(await isOpen(step.control, step.run.database))) await closeGate(step)
      await reopen(step)
      return noteOf(taken.map(({ manifest }) => manifest))
    },
    act: async (step) => {
      // An earlier attempt may have let sessions in: the gate is closed and proven again before anything is copied.
      if (step.run.gate === 'closed') await closeGate(step)
      else await requireOpen(step)
      const manifests = await takeAll(step, step.run.gate ?? 'open')
      // The engines prove that nobody came in while they read; the count of sessions starts anew from here.
      if (step.run.gate === 'closed') await closeGate(step)
      await reopen(step)
      return noteOf(manifests)
    },
  })

/** Whom another run or a person shut out is not let in for a backup. */
async function requireOpen(step: Step): Promise<void> {
  await reopen(step)
  if (await isOpen(step.control, step.run.database)) return
  throw failure('GuardFailed', `database ${step.run.database} lets nobody in, and it was not this run that closed it`)
}

/** Takes each planned kind; the dump is taken from the clone where there is one. */
export async function takeAll(step: Step, gate: Manifest['gate']): Promise<Manifest[]> {
  const { site, run, plan, stageNumber, fence } = step
  const applied = plan.stages
    .filter((stage) => stage.number < stageNumber)
    .flatMap((stage) => stage.migrations.map(({ version }) => version))
  const identity = {
    name: backupName(new Date(), stageNumber, fence.epoch),
    project: plan.project,
    environment: plan.environment,
    run: run.name,
    stage: stageNumber,
    epoch: fence.epoch,
    gate,
    ledger: [...plan.applied.map(({ version }) => version), ...applied],
    priorStates: await allPriorStates(site.journal, run.name),
    rebuild: await rebuildOf(step),
    ...(plan.tag === undefined ? {} : { tag: plan.tag }),
  }
  const manifests: Manifest[] = []
  for (const kind of plan.backups) {
    fence.progress(`take the ${kind}`)
    const clone = manifests.find((manifest) => manifest.kind === 'clone')
    const manifest = await site.backups[kind].take(
      {
        ...identity,
        onSource: (work) => step.onTarget(work),
        ...(clone === undefined ? {} : { source: clone.location }),
      },
      fence,
    )
    await site.backups[kind].verify(manifest, fence.signal)
    await recordBackup(site.journal, manifest, 'valid')
    manifests.push(manifest)
  }
  return manifests
}

/** As `Rebuild` has it. */
async function rebuildOf({ site, run, plan }: Step): Promise<object> {
  const decisions = await listDecisions(site.journal, run.name)
  return { plan, decisions: decisions.map((decision) => ({ ...decision, at: decision.at.toISOString() })) }
}

const noteOf = (manifests: readonly Manifest[]): string =>
  manifests.map(({ kind, name, bytes }) => `${kind} ${name}, ${size(Number(bytes))}`).join('; ')
