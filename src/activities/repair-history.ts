import { fileOf, stateBefore } from '../adapters/migrator/marking.js'
import { failure } from '../domain/failures.js'
import type { Ledger, Migration } from '../domain/migration.js'
import type { Mark } from '../domain/plan.js'
import { changing, type Step } from './changing.js'
import { editedSince } from './edited-since.js'
import { lookInto } from './look-into.js'
import type { Dependencies, Site } from './site.js'

/**
 * How the history has the version now, and the file that it is marked as applied from. Throws `PlanInvalid` where it cannot be
 * marked so, `GuardFailed` where nothing would change.
 */
export async function historyOf(
  site: Site,
  mark: Mark,
  tag: string | undefined,
): Promise<{ was: string; checksum?: string }> {
  const { migrator, configuration, target } = site
  if (!migrator.mark)
    throw failure('GuardFailed', `${configuration.migrator.kind} keeps its history itself: repair it with the tool`)
  const files = await migrator.migrations(tag ?? '')
  const ledger = await lookInto(site, target, 'headgate repair', (session) => migrator.ledger(session, tag))
  const was =
    stateBefore(files, ledger, mark) ??
    (mark.as === 'applied' ? await editedHere(site, mark, files, ledger) : undefined)
  if (was === undefined) throw failure('GuardFailed', `${mark.version} is ${mark.as} already`)
  return mark.as === 'applied' ? { was, checksum: fileOf(files, mark.version).checksum } : { was }
}

/** Where only the journal knows of another file: the ledger stays as it is, and the journal knows this one from then on. */
async function editedHere(
  site: Site,
  { version }: Mark,
  files: readonly Migration[],
  ledger: Ledger,
): Promise<string | undefined> {
  const edited = await editedSince(
    site,
    files.filter((one) => one.version === version),
    ledger,
    undefined,
  )
  return edited.length === 0 ? undefined : 'applied from another file'
}

/** Marks the plan's version in the migrator's history. */
export const repairHistory = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'repair',
    observe: async (step) => {
      const mark = markOf(step)
      const { site, plan, onTarget } = step
      const files = await site.migrator.migrations(plan.tag ?? '')
      const ledger = await onTarget((session) => site.migrator.ledger(session, plan.tag))
      const now = stateBefore(files, ledger, mark)
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
