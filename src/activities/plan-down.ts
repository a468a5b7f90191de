import { findPlan, listRuns } from '../adapters/journal/runs.js'
import { failure, messageOf } from '../domain/failures.js'
import type { Ledger } from '../domain/migration.js'
import { isMigrating, type Plan, type PlannedMigration, stagesDownOf, toApply } from '../domain/plan.js'
import { before, withNext } from './running.js'
import type { Site } from './site.js'

/** Back to this one of the newest runs. */
const RUNS_LOOKED_AT = 1_000
/** What a run of these outcomes applied is not there any more. */
const LEFT_NOTHING: readonly (string | undefined)[] = ['aborted', 'restored']

/** What going down comes to. */
export interface WayDown {
  stages: Plan['stages']
  services: Plan['services']
  remarks: string[]
}

/**
 * The way down to a version, and the image that ran before what is taken back. Throws `GuardFailed` where the environment
 * wants no downgrade, the tool knows none, or no backup is taken; `PlanInvalid` where there is no way down; `PreviousUnknown`.
 */
export async function planDown(
  site: Site,
  { tag, downTo }: { tag: string | undefined; downTo: string },
  ledger: Ledger,
  services: Plan['services'],
): Promise<WayDown> {
  const { configuration, migrator } = site
  requireAllowed(site)
  if (!migrator.waysDown || !migrator.down)
    throw failure('GuardFailed', `${configuration.migrator.kind} has no way down: no down is configured`)
  if (!ledger.applied.some(({ version }) => version === downTo))
    throw failure('PlanInvalid', `${downTo} is not applied`, undefined, {
      hint: `name the version to stay at: headgate info ${configuration.environment} lists what is installed`,
    })
  if (ledger.applied.at(-1)?.version === downTo) return { stages: [], services, remarks: [] }
  const undone = await migrator.waysDown({ tag: tag ?? '', target: downTo }, ledger)
  const then = await servicesThen(site, undone, services)
  const deploysImage = then.services.some(({ next }) => next !== undefined)
  const approval = configuration.protected && configuration.approval !== 'none'
  const stages = split(undone, { target: downTo, deploysImage, approval })
  await requireLinear(site, tag ?? '', ledger, stages)
  return { ...then, stages }
}

function split(...asked: Parameters<typeof stagesDownOf>): Plan['stages'] {
  try {
    return stagesDownOf(...asked)
  } catch (error) {
    throw failure('PlanInvalid', messageOf(error))
  }
}

/** Of migrations on branches a stage may not be what the tool takes back down to the stage's end. */
async function requireLinear({ migrator }: Site, tag: string, ledger: Ledger, stages: Plan['stages']): Promise<void> {
  let applied = ledger.applied
  for (const { migrations, target } of stages.filter(({ phase }) => isMigrating(phase))) {
    const ways = (await migrator.waysDown?.({ tag, target: target ?? '' }, { ...ledger, applied })) ?? []
    const versions = new Set(migrations.map(({ version }) => version))
    if (ways.length !== versions.size || ways.some(({ version }) => !versions.has(version)))
      throw failure(
        'PlanInvalid',
        `${[...versions].join(', ')} are on branches: they cannot be taken back in stages`,
        undefined,
        {
          hint: 'take them back with the tool itself, or go forward by a new migration',
        },
      )
    applied = applied.filter(({ version }) => !versions.has(version))
  }
}

function requireAllowed({ configuration: { environment, downgrades, backup } }: Site): void {
  if (downgrades === 'refuse')
    throw failure(
      'GuardFailed',
      `${environment} is not taken down to an earlier version (downgrades: refuse)`,
      undefined,
      {
        hint: 'undo it by a new migration, or restore a backup: headgate restore',
      },
    )
  if (backup === false)
    throw failure('GuardFailed', 'a way down is taken behind a backup, and here none is taken (backup: false)')
}

/** The plans of runs that left something, the newest first. */
async function* plansOfRuns({ journal, configuration }: Site): AsyncGenerator<Plan> {
  for (const run of await listRuns(journal, configuration.project, configuration.environment, RUNS_LOOKED_AT))
    if (run.planDigest !== undefined && !LEFT_NOTHING.includes(run.outcome)) yield findPlan(journal, run.planDigest)
}

/** The release whose files tell the way down: the newest that was migrated to, whatever image runs by now. */
export async function releaseToUndo(site: Site): Promise<string | undefined> {
  for await (const { kind, tag, stages } of plansOfRuns(site))
    if (
      tag !== undefined &&
      (kind === 'deploy' || kind === 'migrate') &&
      stages.some(({ phase }) => isMigrating(phase))
    )
      return tag
  return undefined
}

/** The services, each with the image as `next` that ran before the first of the expand migrations, where another one runs now. */
async function servicesThen(
  site: Site,
  undone: readonly PlannedMigration[],
  services: Plan['services'],
): Promise<Pick<WayDown, 'services' | 'remarks'>> {
  const first = undone.findLast(({ phase }) => phase === 'expand')
  // The image that runs belongs to the schema before its contract migrations, too.
  if (!first || services.length === 0) return { services, remarks: [] }
  const applying = await planThatApplied(site, first.version)
  const unknown: string[] = []
  const found = services.map((service) => {
    const then = applying?.services.find(({ name }) => name === service.name)
    if (then?.previous === undefined) unknown.push(service.name)
    return then === undefined ? service : withNext(service, before(then))
  })
  const text = `the image of ${unknown.join(', ')} before ${first.version} is not known`
  if (unknown.length > 0 && site.configuration.protected)
    throw failure('PreviousUnknown', text, undefined, {
      hint: 'no run of headgate applied it, so that nobody knows what ran then: go forward by a new migration, or restore a backup',
    })
  return { services: found, remarks: unknown.length === 0 ? [] : [`${text}: the one that runs stays`] }
}

/** The plan of the newest run that applied the version and did not take it back. */
async function planThatApplied(site: Site, version: string): Promise<Plan | undefined> {
  for await (const plan of plansOfRuns(site)) if (toApply(plan).some((one) => one.version === version)) return plan
  return undefined
}
