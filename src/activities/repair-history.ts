import { stateBefore } from '../adapters/migrator/marking.js'
import { failure } from '../domain/failures.js'
import type { Mark } from '../domain/plan.js'
import { changing, type Step } from './changing.js'
import { lookInto } from './look-into.js'
import type { Dependencies, Site } from './site.js'

/** How the history has the version now. Throws `PlanInvalid` where it cannot be marked so, `GuardFailed` where nothing would change. */
export async function historyOf(site: Site, mark: Mark, tag: string | undefined): Promise<string> {
  const { migrator, configuration, target } = site
  if (!migrator.mark)
    throw failure('GuardFailed', `${configuration.migrator.kind} keeps its history itself: repair it with the tool`)
  const was = await stateNow(site, mark, tag, (work) => lookInto(site, target, 'headgate repair', work))
  if (was === undefined) throw failure('GuardFailed', `${mark.version} is ${mark.as} already`)
  return was
}

/** As `stateBefore`, of the release's files and the ledger that `onTarget` reaches. */
async function stateNow(
  { migrator }: Site,
  mark: Mark,
  tag: string | undefined,
  onTarget: Step['onTarget'],
): Promise<string | undefined> {
  const files = await migrator.migrations(tag ?? '')
  return stateBefore(files, await onTarget((session) => migrator.ledger(session, tag)), mark)
}

/** Marks the plan's version in the migrator's history. */
export const repairHistory = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'repair',
    observe: async (step) => {
      const mark = markOf(step)
      const now = await stateNow(step.site, mark, step.plan.tag, step.onTarget)
      return now === undefined ? `${mark.version} is ${mark.as}` : undefined
    },
    act: async (step) => {
      const { version, as, was } = markOf(step)
      const { site, plan, fence } = step
      await site.migrator.mark?.({ tag: plan.tag ?? '', version, as }, site.target, fence)
      return `${version} is ${as}; it was ${was}`
    },
  })

function markOf({ plan }: Step): NonNullable<typeof plan.marks> {
  if (!plan.marks) throw failure('StateUnexpected', 'the plan of this run marks nothing')
  return plan.marks
}
