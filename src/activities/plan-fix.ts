import type { RunRecord } from '../adapters/journal/runs.js'
import { replacePlan } from '../adapters/journal/runs.js'
import { recordEvent } from '../adapters/journal/steps.js'
import { isOpen } from '../adapters/postgres/gate.js'
import { failure } from '../domain/failures.js'
import type { Ledger } from '../domain/migration.js'
import { isNarrowing, type Plan, type PlannedMigration, type PlanSummary, type Stage } from '../domain/plan.js'
import { fenced, type Step } from './changing.js'
import { serviceOf } from './configured.js'
import { reopen, shut } from './gate.js'
import { approversOf, pendingOf, readLedger, releaseOf, requireApprovable, requireTag } from './make-plan.js'
import { digestOf, isOutBefore, summaryOf } from './plan.js'
import { requireRehearsed } from './rehearsed.js'
import { requireReviewed } from './review.js'
import { after, before, isOn, runningOf } from './running.js'
import type { Dependencies, Site } from './site.js'
import { splitRelease } from './split-release.js'

export interface FixRequest {
  /** Of the fixed release; without it the one that the run has. */
  tag?: string | undefined
  /** Who asks for it. */
  by: string
  /** The plan that was approved, where it waited for that. */
  approved?: string
}

/** Throws `GuardFailed` where the run is none that a release could mend. */
export function requireFixable({ name, kind }: Pick<RunRecord, 'name' | 'kind'>): void {
  if (kind === 'deploy' || kind === 'migrate') return
  throw failure('GuardFailed', `run ${name} is a ${kind}: no release mends it, choose another way`)
}

/**
 * Plans the rest of a failed run anew, with a fixed release: the stage where it stopped takes what the database lacks of it.
 * What was done before, what was paused, stopped and backed up, and the images of before, stay in the plan. A database that was
 * left shut is opened for as long as it is looked at. `same`: it is the plan that was approved. Throws as `plan` does;
 * then the plan of before stands. Twice is once.
 */
export const planFix =
  (dependencies: Dependencies) =>
  (run: string, stageNumber: number, request: FixRequest): Promise<{ same: boolean; summary: PlanSummary }> =>
    fenced(dependencies, 'plan', run, stageNumber, async (step) => {
      const searchAttributes = await dependencies.searchAttributes()
      const { site, plan } = step
      const made = await whileOpen(step, () => fixOf(step, request))
      const digest = digestOf(made)
      if (digest !== step.run.planDigest) {
        const text = `${request.by} goes on with ${made.tag === plan.tag ? 'what the release has now' : `release ${made.tag}`}`
        await recordEvent(site.journal, run, 'fix', { text: `${text}: ${inWords(made, stageNumber)}` })
        await replacePlan(site.journal, run, digest, made)
      }
      const here = { ...made, stages: made.stages.filter(({ number }) => number === stageNumber) }
      return {
        same: digest === request.approved,
        summary: await summaryOf(run, digest, here, site, searchAttributes),
      }
    })

async function whileOpen<T>(step: Step, work: () => Promise<T>): Promise<T> {
  if (await isOpen(step.control, step.run.database)) return work()
  await reopen(step)
  try {
    return await work()
  } finally {
    // As it was found: behind a closed gate only sessions of ours came in, each accounted for.
    await shut(step)
  }
}

async function fixOf(step: Step, { tag = step.plan.tag, by }: FixRequest): Promise<Plan> {
  const { site, plan, stageNumber, fence } = step
  const stopped = plan.stages.find(({ number }) => number === stageNumber)
  if (!stopped) throw failure('StateUnexpected', `run ${step.run.name} has no stage ${stageNumber}`)
  requireTag(site, tag)
  const { migratorImage, migrations } = await releaseOf(site, tag)
  const ledger = await readLedger(site, tag)
  const { dirty } = ledger
  const whole = wholeOf(ledger)
  const pending = pendingOf(migrations, whole)
  const services = await servicesFor(step, plan.kind === 'deploy' ? tag : undefined)
  const stages = await stagesFor(site, stopped, pending, services)
  const [here, ...later] = stages
  if (!here)
    throw failure(
      'GuardFailed',
      `${tag === undefined ? 'the release' : tag} has nothing that is not done already`,
      undefined,
      {
        hint: 'choose --finish to go on with what is there, or mend the release first',
      },
    )
  requireApprovable(site, stages)
  // What the services have is told anew, as it is before this stage.
  const done = plan.stages
    .filter(({ number }) => number < stageNumber)
    .map((stage) => ({ ...stage, deploysImage: false }))
  const applied = new Set(whole.applied.map(({ version }) => version))
  const kept = stopped.migrations.filter(({ version }) => applied.has(version))
  const planned = [...done, stopped].flatMap((stage) => stage.migrations.map(({ version }) => version))
  const { migratorImage: _, ...rest } = plan
  const fixed: Plan = {
    ...rest,
    ...(tag === undefined ? {} : { tag }),
    ...(migratorImage === undefined ? {} : { migratorImage }),
    applied: whole.applied
      .filter(({ version }) => !planned.includes(version))
      .map(({ version, name }) => ({ version, ...(name === undefined ? {} : { name }) })),
    stages: [...done, withKept(here, stopped, kept), ...later],
    services,
    fix: { by, ...(dirty === undefined ? {} : { halfDone: dirty }) },
    approvers: approversOf(site.configuration.approval),
  }
  await requireRehearsed(site, fixed)
  const reviewed = await requireReviewed(site, fixed, fence.signal)
  if (reviewed !== undefined)
    await recordEvent(site.journal, step.run.name, 'review', { text: reviewed }).catch(() => {})
  return fixed
}

/** Where only an image is left the stage stays what it was: its migrations are verified before that goes out. */
function withKept(here: Stage, { phase }: Stage, kept: readonly PlannedMigration[]): Stage {
  const last = kept.at(-1)
  if (last === undefined) return here
  if (here.phase === 'image') return { ...here, phase, migrations: [...kept], target: last.version }
  return { ...here, migrations: [...kept, ...here.migrations] }
}

/** What is half done is to be done: whoever fixes it knows what is there. */
const wholeOf = ({ dirty, ...ledger }: Ledger): Ledger => ({
  ...ledger,
  applied: ledger.applied.filter(({ version }) => version !== dirty),
})

/** A contract stage takes all there is: what it began must come to its end before anything else. */
async function stagesFor(
  site: Site,
  stopped: Stage,
  pending: readonly PlannedMigration[],
  services: Plan['services'],
): Promise<Stage[]> {
  const { approval } = site.configuration
  const approvalBefore = approval === 'none' ? [] : approval.before
  const deploysImage = services.some(({ next }) => next !== undefined)
  const { stages } = isNarrowing(stopped.phase)
    ? { stages: asContract(pending, { deploysImage, approval: approvalBefore.includes('contract') }) }
    : await splitRelease(site, pending, {
        deploysImage,
        stopsAtTarget: site.migrator.stopsAtTarget,
        approvalBefore,
      })
  return stages.map((stage) => ({ ...stage, number: stopped.number + stage.number - 1 }))
}

function asContract(
  pending: readonly PlannedMigration[],
  { deploysImage, approval }: Pick<Stage, 'deploysImage' | 'approval'>,
): Stage[] {
  const target = pending.at(-1)?.version
  if (target !== undefined)
    return [{ number: 1, phase: 'contract', migrations: [...pending], target, deploysImage, approval }]
  return deploysImage ? [{ number: 1, phase: 'image', migrations: [], deploysImage, approval: false }] : []
}

/** The image of before stays the one before the stage, whatever the run has brought since. */
function servicesFor({ site, plan, stageNumber, fence }: Step, tag: string | undefined): Promise<Plan['services']> {
  const isOut = isOutBefore(plan, stageNumber)
  return Promise.all(
    plan.services.map(async (planned) => {
      const { tag: previous, image: previousImage } = isOut ? after(planned) : before(planned)
      const was = {
        name: planned.name,
        ...(previous === undefined ? {} : { previous }),
        ...(previousImage === undefined ? {} : { previousImage }),
      }
      const service = serviceOf(site, planned.name)?.service
      if (tag === undefined || !service) return was
      const image = await service.imageOf?.(tag, 'newest')
      const next = { tag, image }
      const isThere = isOn(before(was), next) && isOn(await runningOf(service, fence.signal), next)
      return isThere ? was : { ...was, next: tag, ...(image === undefined ? {} : { nextImage: image }) }
    }),
  )
}

function inWords({ stages, services }: Plan, number: number): string {
  const stage = stages.find((one) => one.number === number)
  const migrations = (stage?.migrations ?? []).map(({ version, checksum }) => `${version} ${checksum.slice(0, 12)}`)
  const images = stage?.deploysImage
    ? services.flatMap(({ name, next }) => (next === undefined ? [] : [`${name} on ${next}`]))
    : []
  return [...migrations, ...images].join(', ')
}
