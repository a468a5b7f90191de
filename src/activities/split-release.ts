import { findPlan, listRuns } from '../adapters/journal/runs.js'
import { failure, messageOf } from '../domain/failures.js'
import { type PlannedMigration, stagesOf } from '../domain/plan.js'
import type { Site } from './site.js'

/** Back to this one of the newest runs. */
const RUNS_LOOKED_AT = 50

/** The stages of what is pending. Throws `PlanInvalid` where it cannot go out as one release, with whose it is and what to do. */
export async function splitRelease(
  site: Site,
  pending: readonly PlannedMigration[],
  options: Parameters<typeof stagesOf>[1],
): Promise<ReturnType<typeof stagesOf>> {
  try {
    return stagesOf(pending, options)
  } catch (error) {
    const contract = pending.filter(({ phase }) => phase === 'contract').map(({ version }) => version)
    const deferred = await deferredBefore(site, contract)
    throw failure(
      'PlanInvalid',
      deferred === undefined ? messageOf(error) : `${messageOf(error)}; ${deferred}`,
      undefined,
      { hint: deferred === undefined ? SPLIT : CATCH_UP },
    )
  }
}

const SPLIT = 'split the release: one that ends with its contract migrations, and one for what comes after them'
const CATCH_UP =
  'deploy what was deferred first, in a release without the new expand migrations, and approve it; or number the deferred ones behind the new ones'

/** Which of the pending contract migrations an earlier run left, and why; undefined where they are all new. */
async function deferredBefore(
  { journal, configuration }: Site,
  contract: readonly string[],
): Promise<string | undefined> {
  const runs = await listRuns(journal, configuration.project, configuration.environment, RUNS_LOOKED_AT)
  for (const { name, outcome, planDigest, ending } of runs) {
    if (outcome !== 'deferred' || planDigest === undefined) continue
    const planned = (await findPlan(journal, planDigest)).stages.flatMap(({ migrations }) => migrations)
    const left = contract.filter((version) => planned.some((one) => one.version === version))
    if (left.length > 0)
      return `${left.join(', ')} ${left.length === 1 ? 'is' : 'are'} pending since run ${name} was deferred (${ending?.reason})`
  }
  return undefined
}
