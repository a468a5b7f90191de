import { type Measured, measuredOf } from '../adapters/journal/rehearsals.js'
import { size } from '../domain/amounts.js'
import { failure } from '../domain/failures.js'
import type { RehearsedMigration } from '../domain/look.js'
import { isUndo, type Plan, type Stage, toApply } from '../domain/plan.js'
import { longestHolds } from '../domain/rehearsal.js'
import type { Site } from './site.js'

/** What is known of the plan's migrations from rehearsals of these very files, in the plan's order. */
export async function rehearsedOf({ journal, configuration }: Site, plan: Plan): Promise<RehearsedMigration[]> {
  const pending = toApply(plan)
  const measured =
    pending.length === 0 ? new Map<string, Measured>() : await measuredOf(journal, configuration, pending)
  return pending.flatMap(({ version }) => {
    const found = measured.get(version)
    if (!found) return []
    const { at, source, bytes, migration, previous } = found
    const { ms, failed, measuredWith } = migration
    const holds = longestHolds(migration)
    return [
      {
        ...{ version, at, source, bytes, ms, holds },
        ...(failed === undefined ? {} : { failed }),
        ...(measuredWith === undefined ? {} : { measuredWith }),
        ...(previous?.isFine === false ? { previousFails: previous.said } : {}),
      },
    ]
  })
}

/** For the report, where the step's own time stands beside it: what the same migrations took on a copy. Empty where not all were rehearsed. */
export async function asRehearsed(site: Site, stage: Stage | undefined): Promise<string> {
  const found = stage && (await rehearsedTime(site, stage))
  return found ? `; ${(found.ms / 1_000).toFixed(1)} s in the rehearsal, on ${size(found.bytes)}` : ''
}

/** What the stage's migrations took on a copy, and how large that was; undefined where not all were rehearsed. */
export async function rehearsedTime(
  { journal, configuration }: Site,
  { phase, migrations }: Pick<Stage, 'phase' | 'migrations'>,
): Promise<{ ms: number; bytes: number } | undefined> {
  if (isUndo(phase) || migrations.length === 0) return undefined
  const measured = await measuredOf(journal, configuration, migrations).catch(() => new Map<string, Measured>())
  if (measured.size < migrations.length) return undefined
  const all = [...measured.values()]
  return {
    ms: all.reduce((sum, { migration }) => sum + migration.ms, 0),
    bytes: Math.max(...all.map((found) => found.bytes)),
  }
}

/** Throws `RehearsalMissing` where the environment wants a rehearsal and a migration has none that went well. */
export async function requireRehearsed(site: Site, plan: Plan): Promise<void> {
  if (!site.configuration.rehearsal.required) return
  const rehearsed = new Map((await rehearsedOf(site, plan)).map((found) => [found.version, found]))
  const wrong = toApply(plan).flatMap(({ version }) => {
    const found = rehearsed.get(version)
    if (found === undefined) return [`${version} was not rehearsed`]
    if (found.failed !== undefined) return [`the rehearsal of ${version} failed: ${found.failed}`]
    return found.previousFails === undefined
      ? []
      : [`the image of before does not get on with what ${version} belongs to: ${found.previousFails}`]
  })
  if (wrong[0] !== undefined)
    throw failure(
      'RehearsalMissing',
      wrong.length === 1 ? wrong[0] : `${wrong[0]}, and ${wrong.length - 1} more`,
      undefined,
      {
        changed: 'nothing was changed',
        evidence: wrong.join('\n'),
      },
    )
}
