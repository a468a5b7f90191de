import { findPlan, listRuns } from '../adapters/journal/runs.js'
import { failure } from '../domain/failures.js'
import type { Mark, Plan, RunKind } from '../domain/plan.js'
import { findValidBackup } from './find-backup.js'
import { blockedRoles, whyNoBlock } from './block-roles.js'
import { heldOf, isPerRelease, makePlan, requireTag, writersOf } from './make-plan.js'
import { initPlan } from './plan-init.js'
import { releaseToUndo } from './plan-down.js'
import { historyOf } from './repair-history.js'
import { after, before, withNext } from './running.js'
import type { Site } from './site.js'

export interface KindRequest {
  kind: RunKind
  tag?: string | undefined
  backup?: string | undefined
  mark?: Mark | undefined
  downTo?: string | undefined
  drop?: true | undefined
}

/** The plan of any kind of run: what `deploy` would plan, cut down to what the kind does. */
export async function planFor(site: Site, request: KindRequest, signal: AbortSignal): Promise<Plan> {
  switch (request.kind) {
    case 'deploy':
    case 'migrate':
      return makePlan(site, { kind: request.kind, tag: request.tag }, signal)
    case 'backup':
      return backupPlan(await basePlan(site, request.kind, signal))
    case 'rollback':
      return request.downTo === undefined
        ? rollbackPlan(site, await basePlan(site, request.kind, signal))
        : downPlan(site, request, signal)
    case 'restore':
      return restorePlan(site, await basePlan(site, request.kind, signal), request.backup ?? '')
    case 'repair':
      return repairPlan(site, await basePlan(site, request.kind, signal), request)
    case 'init-db':
      return initPlan(site, request.tag, request.drop === true)
    case 'recover':
      throw failure('InputInvalid', 'a recovery has the plan of the run it takes over')
  }
}

/** Where things stand, with nothing to do. The release's files are not looked at: they may be gone. */
async function basePlan(site: Site, kind: RunKind, signal: AbortSignal): Promise<Plan> {
  const plan = await makePlan(site, { kind, tag: undefined }, signal, 'nothing pending')
  return { ...plan, stages: [], remarks: [], backups: [] }
}

/** With everything running: a dump, and never an automatic restore point. */
const backupPlan = (plan: Plan): Plan => ({
  ...plan,
  consumers: [],
  quiesces: [],
  backups: ['dump'],
  noRestoreBecause: 'the gate is open',
})

/** The image that ran before the newest deployed one. Refused once a contract stage of that run may have committed. */
async function rollbackPlan(site: Site, plan: Plan): Promise<Plan> {
  const { journal, configuration } = site
  const runs = await listRuns(journal, configuration.project, configuration.environment, 50)
  for (const run of runs) {
    // Whatever kind of run it was: the image of before it cannot run on what it left.
    if (run.contractStarted)
      throw failure(
        'GuardFailed',
        `the previous image cannot run on the schema in place: run ${run.name} took away what it needs`,
      )
    if (run.kind !== 'deploy' || (run.outcome !== 'succeeded' && run.outcome !== 'deferred')) continue
    const deployed = await findPlan(journal, run.planDigest ?? '')
    const services = plan.services.flatMap((service) => {
      const then = deployed.services.find(
        ({ name, next }) => name === service.name && next !== undefined && next === service.previous,
      )
      return then?.previous === undefined ? [] : [withNext(service, before(then))]
    })
    if (services.length === 0) continue
    return {
      ...plan,
      ...heldOf(site),
      consumers: [],
      quiesces: [],
      services: plan.services.map((service) => services.find(({ name }) => name === service.name) ?? service),
      stages: [{ number: 1, phase: 'image', migrations: [], deploysImage: true, approval: false }],
    }
  }
  throw failure(
    'PreviousUnknown',
    `no run of ${configuration.environment} deployed what runs now: the previous image is not known`,
    undefined,
    { hint: `deploy the release that you want: headgate deploy ${configuration.environment} --tag TAG` },
  )
}

/** The newest release's migrations taken back, down to a version, each stage behind a closed gate and a backup where that is possible. */
async function downPlan(site: Site, { kind, tag, downTo }: KindRequest, signal: AbortSignal): Promise<Plan> {
  const release = tag ?? (isPerRelease(site) ? await releaseToUndo(site) : undefined)
  return makePlan(site, { kind, tag: release, downTo }, signal)
}

/** With everything running: one row of the ledger, in one transaction. */
async function repairPlan(site: Site, plan: Plan, { mark, tag }: KindRequest): Promise<Plan> {
  if (!mark) throw failure('InputInvalid', 'a repair needs a version to mark')
  requireTag(site, tag)
  const history = await historyOf(site, mark, tag)
  const { noRestoreBecause: _, ...rest } = plan
  return { ...rest, ...(tag === undefined ? {} : { tag }), consumers: [], quiesces: [], marks: { ...mark, ...history } }
}

/** What is live is kept as quarantine; the services get the image that ran when the backup was taken. */
async function restorePlan(site: Site, plan: Plan, name: string): Promise<Plan> {
  const manifest = await findValidBackup(site, name)
  if (manifest.systemIdentifier !== plan.bound.systemIdentifier || manifest.database !== plan.bound.database) {
    throw failure('DatabaseWrong', `backup ${name} is of database ${manifest.database}, not of ${plan.bound.database}`)
  }
  const { journal, configuration } = site
  const [run] = (await listRuns(journal, configuration.project, configuration.environment, 1_000)).filter(
    (one) => one.name === manifest.run,
  )
  const then = run?.planDigest === undefined ? undefined : await findPlan(journal, run.planDigest)
  const services = plan.services.map((service) => {
    const was = then?.services.find((one) => one.name === service.name)
    return was === undefined ? service : withNext(service, manifest.stage > 1 ? after(was) : before(was))
  })
  return {
    ...plan,
    ...heldOf(site),
    services,
    restores: `${manifest.name}/${manifest.kind}`,
    consumers: site.consumers.map(({ name }) => name),
    ...writersOf(site, (await whyNoBlock(site)) === undefined ? blockedRoles(site) : []),
    stages: [
      {
        number: 1,
        phase: 'restore',
        migrations: [],
        ...(manifest.ledger.length === 0 ? {} : { target: manifest.ledger.at(-1) ?? '' }),
        deploysImage: services.some(({ next }) => next !== undefined),
        approval: configuration.protected && configuration.approval !== 'none',
      },
    ],
    remarks: [`what was written since ${manifest.takenAt} leaves the live database and is kept as quarantine`],
  }
}
