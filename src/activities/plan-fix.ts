import { z } from 'zod'
import { findPlan, findRun, openRunOf, type RunRecord, replacePlan } from '../adapters/journal/runs.js'
import { listEvents, listSteps, recordEvent } from '../adapters/journal/steps.js'
import { isOpen } from '../adapters/postgres/gate.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { failure } from '../domain/failures.js'
import type { Ledger } from '../domain/migration.js'
import { Tag } from '../domain/names.js'
import {
  isNarrowing,
  type Plan,
  type PlannedMigration,
  type PlanSummary,
  Requester,
  type Stage,
} from '../domain/plan.js'
import { fenced, type Step } from './changing.js'
import { serviceOf } from './configured.js'
import { reopen, shut } from './gate.js'
import { lookInto } from './look-into.js'
import { approversOf, migrationsOf, pendingOf, readLedger, requireApprovable, requireTag } from './make-plan.js'
import { digestOf, isOutBefore, summaryOf } from './plan.js'
import { databaseFindings, serviceFindings } from './preflight.js'
import { recoveriesOf } from './recoveries.js'
import { requireRehearsed } from './rehearsed.js'
import { requireShape } from './require-shape.js'
import { requireReviewed } from './review.js'
import { after, before, getting, having, isOn, runningOf } from './running.js'
import type { Dependencies, Site } from './site.js'
import { splitRelease } from './split-release.js'
import { FIX, standingPlan } from './standing-plan.js'
import { requireBegun, stoppedAt } from './stopped.js'
import { asked } from './watch.js'

export const FixRequest = z.strictObject({
  /** Of the fixed release; without it the one that the run has. */
  tag: Tag.optional(),
  /** Who asks for it. */
  by: Requester.shape.by,
  /** The plan that was approved, where it waited for that. */
  approved: z.string().max(64).optional(),
})
export type FixRequest = z.infer<typeof FixRequest>

/** Events of the journal. */
const OPENED = 'opened to plan a fix'
const SHUT = 'shut after a fix was planned'

/** Throws `GuardFailed` where the run is none that a release could mend, and what the migrator does where there is no such release. */
export async function requireFixable(
  site: Site,
  { name, kind }: Pick<RunRecord, 'name' | 'kind'>,
  tag: string | undefined,
): Promise<void> {
  if (kind !== 'deploy' && kind !== 'migrate')
    throw failure('GuardFailed', `run ${name} is a ${kind}: no release mends it, choose another way`)
  requireTag(site, tag)
  await site.migrator.image?.(tag ?? '', 'present')
  await migrationsOf(site, tag)
}

/**
 * Plans the rest of a failed run anew, with a fixed release: the stage where it stopped takes what the database lacks of it.
 * What was done before, what was paused, stopped and backed up, and the images of before, stay in the plan. A database that was
 * left shut is opened for as long as it is looked at. `same`: it is the plan that was approved. Throws as `plan` does;
 * then the plan of before stands. Twice is once.
 */
export const planFix =
  (dependencies: Dependencies) =>
  (run: string, stageNumber: number, given: FixRequest): Promise<{ same: boolean; summary: PlanSummary }> =>
    fenced(dependencies, 'plan', run, stageNumber, async (step) => {
      const request = requireShape(FixRequest, given)
      const searchAttributes = await dependencies.searchAttributes()
      const { site, plan } = step
      const { fence } = step
      const made = await whileOpen(step, async () => {
        const ledger = await asked(step, () => readLedger(site, request.tag ?? plan.tag))
        const fixed = await fixOf({ ...step, signal: fence.signal }, ledger, request)
        await requireRehearsed(site, fixed)
        const reviewed = await requireReviewed(site, fixed, fence.signal)
        if (reviewed !== undefined) await recordEvent(site.journal, run, 'review', { text: reviewed }).catch(() => {})
        return fixed
      })
      const digest = digestOf(made)
      const replaced = step.run.planDigest
      if (digest !== replaced) {
        const what = made.tag === plan.tag ? 'what the release has now' : `release ${made.tag}`
        const isOther = replaced === request.approved && plan.fix?.recovery === made.fix?.recovery
        const text = isOther
          ? `the fix is not what was approved any more, and waits for an approval anew`
          : `${request.by} goes on with ${what}`
        const said = `${text}: ${inWords(made, stageNumber)}`
        await recordEvent(site.journal, run, FIX, {
          text: said,
          digest,
          replaced,
          tag: made.tag ?? null,
          was: plan.tag ?? null,
        })
        await replacePlan(site.journal, run, digest, made)
      }
      const here = { ...made, stages: made.stages.filter(({ number }) => number === stageNumber) }
      return {
        same: digest === request.approved,
        summary: {
          ...(await summaryOf(run, digest, here, site, searchAttributes)),
          requesters: [...new Set([step.run.requester.by, request.by])],
        },
      }
    })

/** Opens a database that was left shut for as long as it is looked at. An attempt that died in between has left it open. */
async function whileOpen<T>(step: Step, work: () => Promise<T>): Promise<T> {
  const { site, run, control } = step
  const mark = (type: string): Promise<void> => recordEvent(site.journal, run.name, type, {})
  const last = (await listEvents(site.journal, run.name)).findLast(({ type }) => type === OPENED || type === SHUT)
  // A gate that was opened since is open for others.
  const isOurs = last?.type === OPENED && run.gate === 'closed'
  if (!isOurs && (await isOpen(control, run.database))) return work()
  if (!isOurs) await mark(OPENED)
  await reopen(step)
  try {
    return await work()
  } finally {
    // As it was found: behind a closed gate only sessions of ours came in, each accounted for.
    await shut(step)
    await mark(SHUT)
  }
}

/** A run that stopped, and the stage where it did. */
interface Stopped extends Pick<Step, 'site' | 'run' | 'plan' | 'stageNumber'> {
  signal: AbortSignal
}

/** What `planFix` would plan for the open run; without `name` for the environment's. It only looks. Throws as that, and `RunUnknown`. */
export async function previewFix(
  site: Site,
  name: string | undefined,
  request: FixRequest,
  signal: AbortSignal,
): Promise<Plan> {
  const { project, environment } = site.configuration
  const run =
    name === undefined ? await openRunOf(site.journal, project, environment) : await findRun(site.journal, name)
  if (run?.state !== 'open')
    throw failure('RunUnknown', `${name ?? 'no run'} is ${name ? 'not ' : ''}open on ${environment}`)
  const plan = await findPlan(site.journal, await standingPlan(site.journal, run))
  const tag = request.tag ?? plan.tag
  await requireFixable(site, run, tag)
  const steps = await listSteps(site.journal, run.name)
  const stageNumber = stoppedAt(steps)
  requireBegun(plan, stageNumber, steps)
  if (
    !(await lookInto(site, withDatabase(site.control, 'postgres'), 'headgate plan', (session) =>
      isOpen(session, run.database),
    ))
  )
    throw failure(
      'GuardFailed',
      `database ${run.database} is shut, as the run left it: it cannot be looked into`,
      undefined,
      {
        hint: `headgate recover ${run.name} --fix opens it for its own look; a plan that waits for an approval is shown by headgate plan ${run.name}`,
      },
    )
  const fixed = await fixOf({ site, run, plan, stageNumber, signal }, await readLedger(site, tag), request)
  await requireRehearsed(site, fixed)
  return fixed
}

async function fixOf(
  { site, run, plan, stageNumber, signal }: Stopped,
  ledger: Ledger,
  { tag = plan.tag, by }: FixRequest,
): Promise<Plan> {
  const stopped = plan.stages.find(({ number }) => number === stageNumber)
  if (!stopped) throw failure('StateUnexpected', `run ${run.name} has no stage ${stageNumber}`)
  requireTag(site, tag)
  const migratorImage = await site.migrator.image?.(tag ?? '', 'newest')
  const migrations = await migrationsOf(site, tag, ledger)
  const { dirty } = ledger
  const whole = wholeOf(ledger)
  const pending = pendingOf(migrations, whole)
  const services = await servicesFor({ site, plan, stageNumber, signal }, plan.kind === 'deploy' ? tag : undefined)
  const applied = new Set(whole.applied.map(({ version }) => version))
  const kept = stopped.migrations.filter(({ version }) => applied.has(version))
  const stages = await stagesFor(site, stopped, { kept, pending, services })
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
  // The plan may be this fix already, approved and not begun.
  if (dirty !== undefined)
    requireFixing(site, here, await findPlan(site.journal, await standingPlan(site.journal, run)), dirty)
  requireApprovable(site, stages)
  // What the services have is told anew, as it is before this stage.
  const done = plan.stages
    .filter(({ number }) => number < stageNumber)
    .map((stage) => ({ ...stage, deploysImage: false }))
  const planned = [...done, stopped].flatMap((stage) => stage.migrations.map(({ version }) => version))
  const { migratorImage: _, ...rest } = plan
  const fixed: Plan = {
    ...rest,
    ...(tag === undefined ? {} : { tag }),
    ...(migratorImage === undefined ? {} : { migratorImage }),
    applied: whole.applied
      .filter(({ version }) => !planned.includes(version))
      .map(({ version, name }) => ({ version, ...(name === undefined ? {} : { name }) })),
    stages: [...done, here, ...later],
    services,
    fix: {
      by,
      recovery: (await recoveriesOf(site.journal, run.name)).length,
      stage: stageNumber,
      kept: kept.map(({ version }) => version),
      ...(dirty === undefined ? {} : { halfDone: dirty }),
    },
    approvers: approversOf(site.configuration.approval),
  }
  await requireNothingInTheWay(site, fixed, signal)
  return fixed
}

/** What is half done is to be done: whoever fixes it knows what is there. */
const wholeOf = ({ dirty, ...ledger }: Ledger): Ledger => ({
  ...ledger,
  applied: ledger.applied.filter(({ version }) => version !== dirty),
})

/** What was half done must come to its end in this stage, and be one that can be begun anew. Throws `GuardFailed`. */
function requireFixing({ migrator }: Site, here: Stage, failed: Plan, dirty: string): void {
  const halfDone = (stage: Stage | undefined): PlannedMigration | undefined =>
    stage?.migrations.find(({ version }) => version === dirty)
  const mended = halfDone(here)
  if (mended === undefined)
    throw failure(
      'GuardFailed',
      `the ledger marks ${dirty} as half done, and this stage would not finish it`,
      undefined,
      {
        hint: `mend the release so that ${dirty} itself comes to its end, under its name and in its phase`,
      },
    )
  if (mended.checksum === halfDone(failed.stages.find(({ number }) => number === here.number))?.checksum)
    throw failure(
      'GuardFailed',
      `${dirty} is the very file that ended half done: all of it would run again, also what it has committed`,
      undefined,
      {
        hint: `choose --finish, which goes on after the last statement that is known to be done; or mend ${dirty} so that it may begin anew (if not exists), be it by a comment that says that it may`,
      },
    )
  if (!migrator.beginAnew)
    throw failure('GuardFailed', `the ledger marks ${dirty} as half done, and only the tool itself can change that`)
}

/** As the preflight of a deploy, of what this stage touches. */
async function requireNothingInTheWay(site: Site, plan: Plan, signal: AbortSignal): Promise<void> {
  const looks = [databaseFindings(site, plan), serviceFindings(site, plan, signal)]
  const findings = (await Promise.all(looks)).flat()
  if (findings.length > 0) throw failure('GuardFailed', findings.join('; '))
}

interface Left {
  /** Of the stage, what the ledger has. */
  kept: readonly PlannedMigration[]
  pending: readonly PlannedMigration[]
  services: Plan['services']
}

/**
 * The stage where it stopped, and what comes after it. It is no other phase than it was: what was paused, shut and backed up
 * before it was for that one. A contract stage takes all there is: what it began must come to its end before anything else.
 */
async function stagesFor(site: Site, stopped: Stage, { kept, pending, services }: Left): Promise<Stage[]> {
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
  const [first, ...rest] = stages
  const last = kept.at(-1)
  const again = (stage: Pick<Stage, 'deploysImage'>, migrations: readonly PlannedMigration[]): Stage => ({
    ...{ number: stopped.number, phase: stopped.phase, migrations: [...kept, ...migrations], approval: false },
    ...{ target: migrations.at(-1)?.version ?? last?.version ?? '', deploysImage: stage.deploysImage },
  })
  const numbered = (all: readonly Stage[]): Stage[] =>
    all.map((stage, index) => ({ ...stage, number: stopped.number + index }))
  if (first === undefined) return []
  if (first.phase === stopped.phase)
    return numbered([
      last === undefined ? first : { ...again(first, first.migrations), approval: first.approval },
      ...rest,
    ])
  // All of the stage is applied: it is verified, and an image goes out after it.
  if (first.phase === 'image' && last !== undefined) return numbered([again(first, []), ...rest])
  if (first.phase === 'contract' && last !== undefined && stopped.phase === 'expand' && site.migrator.stopsAtTarget)
    return numbered([again({ deploysImage: false }, []), ...stages])
  throw failure(
    'GuardFailed',
    `what is left of the release begins with ${first.phase === 'image' ? 'its image' : `${first.phase} migrations`}, and the run stopped in its ${stopped.phase} stage`,
    undefined,
    { hint: 'choose another way out of this run, then deploy the release' },
  )
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
function servicesFor(
  { site, plan, stageNumber, signal }: Omit<Stopped, 'run'>,
  tag: string | undefined,
): Promise<Plan['services']> {
  const isOut = isOutBefore(plan, stageNumber)
  return Promise.all(
    plan.services.map(async (planned) => {
      const was = having(planned.name, isOut ? after(planned) : before(planned))
      const service = serviceOf(site, planned.name)?.service
      if (tag === undefined || !service) return was
      const image = await service.imageOf?.(tag, 'newest')
      const next = { tag, image }
      const isThere = isOn(before(was), next) && isOn(await runningOf(service, signal), next)
      return isThere ? was : getting(was, tag, image)
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
