import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Journal } from '../adapters/journal/journal.js'
import {
  findPlan,
  openRun,
  openRunOf,
  type RunRecord,
  replacePlan,
  runOfChain,
  runOpenedBy,
} from '../adapters/journal/runs.js'
import { listSteps, recordEvent } from '../adapters/journal/steps.js'
import { canonicalJson } from '../domain/digest.js'
import { failure } from '../domain/failures.js'
import { environmentOf, Name, runName, Tag } from '../domain/names.js'
import {
  downTarget,
  isUndo,
  Mark,
  type Plan,
  type PlanSummary,
  Requester,
  RunKind,
  stillToDo,
  Version,
} from '../domain/plan.js'
import { tell, thisStep } from './conclude.js'
import { findUnended } from './find-unended.js'
import { beating } from './heartbeat.js'
import { lostBecause } from './lost.js'
import { planFor } from './plan-kinds.js'
import { rehearsedTime, requireRehearsed } from './rehearsed.js'
import { requireReviewed } from './review.js'
import { requireShape } from './require-shape.js'
import { after, before, isOn } from './running.js'
import { type Dependencies, onSite, type Site } from './site.js'

export const OpenRequest = z.strictObject({
  kind: RunKind,
  project: Name,
  environment: Name,
  tag: Tag.optional(),
  /** The backup that `restore` puts in place. */
  backup: z.string().max(128).optional(),
  /** What `repair` marks. */
  mark: Mark.optional(),
  /** The version that `rollback` takes the database down to. */
  downTo: Version.optional(),
  /** Whether `init-db` drops the database that is there. */
  drop: z.literal(true).optional(),
  requester: Requester,
  /** What the requester looked at. */
  digest: z.string().max(64).optional(),
  workflowId: z.string().max(300),
  workflowRunId: z.string().max(64),
  /** Of the chain that the execution belongs to: a workflow that was reset is another execution of the same one. */
  firstRunId: z.string().max(64).optional(),
  startedAt: z.iso.datetime(),
})
export type OpenRequest = z.infer<typeof OpenRequest>

/** SHA-256 over the plan, keys sorted: what is approved. Without its remarks: they tell of free bytes, and of whatever else moves. */
export const digestOf = ({ remarks: _, ...plan }: Plan): string =>
  createHash('sha256').update(canonicalJson(plan)).digest('hex')

/** Freezes what will be done, opens the run in the journal and keeps the plan under its digest. Twice for one execution is once. */
export const plan =
  (dependencies: Dependencies) =>
  (asked: OpenRequest): Promise<PlanSummary> =>
    beating(({ signal, carrier }) => {
      const request = requireShape(OpenRequest, asked)
      requireProject(dependencies, request.project)
      return onSite(dependencies, request.environment, async (site) => {
        // Asked first: once the run is opened in the journal nothing more may fail here.
        const searchAttributes = await dependencies.searchAttributes()
        const opened = await openedBefore(site.journal, request)
        if (opened?.planDigest !== undefined) {
          const { name, planDigest } = opened
          return summaryOf(name, planDigest, await findPlan(site.journal, planDigest), site, searchAttributes)
        }
        await requireNoneOpen(site, request)
        const made = await planFor(site, request, signal)
        await requireRehearsed(site, made)
        const reviewed = await requireReviewed(site, made, signal)
        const digest = digestOf(made)
        if (request.digest !== undefined && !digest.startsWith(request.digest)) {
          throw failure('PlanStale', `the plan is ${digest.slice(0, 12)} now, not ${request.digest.slice(0, 12)}`)
        }
        const run = await openRun(site.journal, {
          name: runName(request.environment, new Date(request.startedAt)),
          kind: request.kind,
          lane: request.kind === 'backup' ? 'backup' : 'main',
          workflowId: request.workflowId,
          workflowRunId: request.workflowRunId,
          firstRunId: request.firstRunId,
          carrier,
          engine: dependencies.engine,
          // What the starter says of himself nobody has verified.
          requester: { by: request.requester.by, verified: false },
          startedAt: request.startedAt,
          digest,
          plan: made,
        })
        tellStarted(site, run, made, signal)
        if (reviewed !== undefined) await recordEvent(site.journal, run, 'review', { text: reviewed }).catch(() => {})
        return summaryOf(run, digest, made, site, searchAttributes)
      })
    })

/** Where anything is to be done. Nothing waits for it: a receiver that hangs must not keep a run from its first step. */
function tellStarted(site: Site, run: string, { kind, tag, stages, bound }: Plan, signal: AbortSignal): void {
  if (stages.length === 0) return
  const migrations = stages.reduce((sum, stage) => sum + stage.migrations.length, 0)
  const text = `${kind}${tag === undefined ? '' : ` of ${tag}`} on database ${bound.database}: ${migrations} ${migrations === 1 ? 'migration' : 'migrations'}`
  tell(site, run, { kind: 'started', text, next: `headgate watch ${run}`, by: thisStep() }, signal).catch(() => {})
}

/** The run of this very execution; of one that was reset, the run that it had come to the end of: nothing of it is done again. */
async function openedBefore(
  journal: Journal,
  { workflowRunId, firstRunId }: OpenRequest,
): Promise<RunRecord | undefined> {
  const own = await runOpenedBy(journal, workflowRunId)
  if (own || firstRunId === undefined) return own
  const first = await runOfChain(journal, firstRunId)
  return first?.state === 'ended' ? first : undefined
}

/**
 * Plans again after the wait of stage `waiting`. `same`: the approval stands, also where the stage has begun already: the
 * workflow was reset then, and each of its steps sees what is done. Else it is void and the new plan, already journaled, must
 * be approved. Throws `PlanStale` where the release has other stages now, or another image runs than the stages before it
 * left, and `StateUnexpected` where the stage has come so far that doing it again would not be the same.
 */
export const confirmPlan =
  (dependencies: Dependencies) =>
  (
    runName: string,
    approvedDigest: string,
    waiting: number,
  ): Promise<{ same: true } | { same: false; summary: PlanSummary }> =>
    beating(({ signal }) =>
      onSite(dependencies, environmentOf(runName), async (site) => {
        const run = await findUnended(site.journal, runName)
        if (await isUnderWay(site, runName, waiting)) return { same: true }
        const approved = await findPlan(site.journal, approvedDigest)
        const asked = { kind: run.kind, tag: run.tag, backup: approved.restores, downTo: downTarget(approved) }
        const now = await planFor(site, asked, signal)
        requireSameTarget(approved, now, run.databaseOids)
        const differences = differencesOf(approved, now, waiting)
        // An earlier attempt of this very look may have replaced the plan already: what was approved decides, not what stands.
        if (differences.length === 0 && run.planDigest === approvedDigest) return { same: true }
        await requireRehearsed(site, now)
        await requireReviewed(site, now, signal)
        const left = leftOf(approved, now, waiting)
        const replaced = withDone(approved, left, waiting)
        const digest = digestOf(replaced)
        await replacePlan(site.journal, runName, digest, replaced)
        await recordEvent(site.journal, runName, 'plan changed', { differences })
        const searchAttributes = await dependencies.searchAttributes()
        return {
          same: false,
          summary: await summaryOf(runName, digest, { ...replaced, stages: left.stages }, site, searchAttributes),
        }
      }),
    )

/** Steps that come before anybody may write again, and before any is undone. */
const BEHIND_THE_GATE: readonly string[] = [
  'hold-autodeploy',
  'pause-consumers',
  'quiesce-writers',
  'backup',
  'migrate',
  'verify',
]

async function isUnderWay({ journal }: Site, run: string, stage: number): Promise<boolean> {
  const begun = (await listSteps(journal, run)).filter((step) => step.stage === stage)
  const further = begun.find(({ step }) => !BEHIND_THE_GATE.includes(step))
  if (further) throw failure('StateUnexpected', `stage ${stage} has begun before, up to ${further.step}`)
  return begun.length > 0
}

/** The row in the journal is the lock, taken when the run is opened; asked here so that the first answer names the other run. */
async function requireNoneOpen(site: Site, { kind, project, environment, workflowRunId }: OpenRequest): Promise<void> {
  const open = await openRunOf(site.journal, project, environment)
  if (!open || open.workflowRunId === workflowRunId) return
  // Beside another run it waits for its turn; that of one which nobody carries is never over.
  if (kind === 'backup' && (await lostBecause(site.journal, open)) === undefined) return
  throw failure('RunOpen', `run ${open.name} is open on ${environment}`, undefined, {
    hint: `headgate recover ${open.name} shows what is known of it, and asks what to do`,
  })
}

export function requireProject(dependencies: Dependencies, project: string): void {
  if (project !== dependencies.project)
    throw failure('InputInvalid', `this worker serves project ${dependencies.project}, not ${project}`)
}

function requireSameTarget(approved: Plan, now: Plan, oids: readonly string[]): void {
  const same =
    approved.bound.systemIdentifier === now.bound.systemIdentifier &&
    approved.bound.database === now.bound.database &&
    oids.includes(now.bound.oid)
  if (!same) throw failure('DatabaseWrong', 'the database is not the one the plan was approved for')
}

/** What a person approved and would be done otherwise now: of the migrations that are left, by version and checksum, and around them. */
function differencesOf(approved: Plan, now: Plan, waiting: number): string[] {
  const key = (plan: Plan): string[] =>
    plan.stages.flatMap((stage) =>
      stillToDo(stage, now).map(({ version, checksum }) => `${stage.phase} ${version} ${checksum}`),
    )
  const before = [...key(approved), ...around(approved)]
  const fresh = [...key(now), ...around(now)]
  return [
    ...before.filter((line) => !fresh.includes(line)).map((line) => `- ${line}`),
    ...fresh.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
    ...otherImages(approved, now, waiting),
  ]
}

/** Who is paused and stopped, and what way back there is. */
const around = ({
  services,
  consumers,
  autodeploys = [],
  quiesces,
  blocks = [],
  backups,
  noRestoreBecause,
  migratorImage,
}: Plan): string[] => [
  ...services.map(({ name }) => `service ${name}`),
  ...consumers.map((name) => `pause ${name}`),
  ...autodeploys.map((name) => `hold ${name}`),
  ...quiesces.map((name) => `stop ${name}`),
  ...blocks.map((name) => `block ${name}`),
  ...backups.map((kind) => `backup ${kind}`),
  ...(noRestoreBecause === undefined ? [] : [`no automatic restore: ${noRestoreBecause}`]),
  ...(migratorImage === undefined ? [] : [`migrations of image ${migratorImage}`]),
]

/** Whether the image went out in a stage before this one. */
export const isOutBefore = ({ stages }: Plan, stage: number): boolean =>
  stages.some(({ deploysImage, number }) => deploysImage && number < stage)

/** Services that run another image than the stages before `waiting` left. One that never tells its tag is believed. */
function otherImages(approved: Plan, now: Plan, waiting: number): string[] {
  const isOut = isOutBefore(approved, waiting)
  return approved.services.flatMap((planned) => {
    const service = now.services.find(({ name }) => name === planned.name)
    if (!service || (planned.previous === undefined && service.previous === undefined)) return []
    const left = isOut ? after(planned) : before(planned)
    if (isOn(before(service), left)) return []
    const what = service.previous === left.tag ? `another image of ${left.tag}` : (service.previous ?? 'an unknown tag')
    return [`${planned.name} runs ${what}, not ${left.tag ?? 'an unknown tag'}`]
  })
}

/**
 * What is left of the release when the stage `waiting` of the approved plan is next, under that plan's numbers. Throws
 * `PlanStale` where it is not the next one, or another image runs than the one that was deployed before it.
 */
function leftOf(approved: Plan, now: Plan, waiting: number): Plan {
  const isOut = isOutBefore(approved, waiting)
  const others = isOut ? otherImages(approved, now, waiting) : []
  if (others.length > 0)
    throw failure('PlanStale', `another image runs than the one this run deployed: ${others.join(', ')}`)
  // A service that never tells its tag would be deployed again for ever.
  const services = isOut ? now.services.map(({ next: _, ...service }) => service) : now.services
  const stages = now.stages
    .filter(({ phase }) => !isOut || phase !== 'image')
    .map((stage) => renumbered(isOut ? { ...stage, deploysImage: false } : stage, approved))
  const isNext = stages[0]?.phase === approved.stages.find(({ number }) => number === waiting)?.phase
  const numbers = new Set(stages.map(({ number }) => number))
  if (!isNext || stages[0]?.number !== waiting || numbers.size !== stages.length)
    throw failure('PlanStale', 'the release has other stages now than the approved plan')
  return { ...now, services, stages }
}

/** Keeps the numbers of the approved plan's stages, which steps and backups are journaled under. */
function renumbered(stage: Plan['stages'][number], approved: Plan): Plan['stages'][number] {
  const same = approved.stages.find(({ phase }) => phase === stage.phase)
  return same ? { ...stage, number: same.number } : stage
}

/** What was done before the wait stays in the plan, and so does the image that ran before it: ways back are found there. */
function withDone(approved: Plan, now: Plan, waiting: number): Plan {
  const done = approved.stages.filter(({ number }) => number < waiting)
  if (done.length === 0) return now
  const { from: _, ...rest } = now
  const versions = new Set(done.flatMap(({ migrations }) => migrations.map(({ version }) => version)))
  return {
    ...rest,
    ...(approved.from === undefined ? {} : { from: approved.from }),
    applied: done.some(({ phase }) => isUndo(phase))
      ? approved.applied
      : now.applied.filter(({ version }) => !versions.has(version)),
    stages: [...done, ...now.stages],
    services: now.services.map((service) => approved.services.find(({ name }) => name === service.name) ?? service),
  }
}

export async function summaryOf(
  run: string,
  digest: string,
  made: Plan,
  site: Site,
  searchAttributes: boolean,
): Promise<PlanSummary> {
  const { heartbeat, onFailure } = site.configuration
  const rehearsed = await Promise.all(made.stages.map((stage) => rehearsedTime(site, stage)))
  return {
    run,
    digest,
    database: made.bound.database,
    stages: made.stages.map(({ number, phase, migrations, target, approval, deploysImage }, index) => ({
      number,
      phase,
      count: migrations.length,
      ...(target === undefined ? {} : { target }),
      approval,
      deploysImage,
      ...(rehearsed[index] === undefined ? {} : { rehearsedMs: rehearsed[index].ms }),
    })),
    pauses: made.consumers.length > 0,
    holds: (made.autodeploys ?? []).length > 0,
    serves: made.services.length > 0,
    clones: made.backups.includes('clone') && made.backups.includes('dump'),
    approvalTimeoutMs: made.approvers.timeoutMs,
    approvalsNeeded: made.approvers.count,
    requesterMayApprove: made.approvers.requesterMayApprove,
    heartbeatMs: heartbeat,
    holdOnFailure: onFailure === 'hold',
    searchAttributes,
  }
}
