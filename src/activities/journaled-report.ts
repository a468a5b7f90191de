import { type BackupState, listBackups } from '../adapters/journal/backups.js'
import { listDecisions } from '../adapters/journal/decisions.js'
import type { Journal } from '../adapters/journal/journal.js'
import { findPlan, findRun, listRuns, openRunOf } from '../adapters/journal/runs.js'
import { listEvents, listSteps } from '../adapters/journal/steps.js'
import type { LookAnswers } from '../domain/look.js'
import type { Manifest } from '../domain/manifest.js'
import { buildReport, type Report } from '../domain/report.js'

/** What the journal knows of one run, as the report's model. Throws `RunUnknown`. */
export async function reportOf(journal: Journal, name: string): Promise<Report> {
  const run = await findRun(journal, name)
  const backups = await listBackups(journal, run.project, run.environment)
  return buildReport({
    run: { ...run, startedAt: run.startedAt.toISOString(), endedAt: run.endedAt?.toISOString() },
    plan: run.planDigest === undefined ? undefined : await findPlan(journal, run.planDigest),
    steps: (await listSteps(journal, name)).map((step) => ({
      ...step,
      startedAt: step.startedAt.toISOString(),
      endedAt: step.endedAt?.toISOString(),
    })),
    decisions: (await listDecisions(journal, name)).map((decision) => ({ ...decision, at: decision.at.toISOString() })),
    events: (await listEvents(journal, name)).map((event) => ({ ...event, at: event.at.toISOString() })),
    backups: backups
      .filter(({ manifest }) => manifest.run === name)
      .map(({ manifest, state }) => backupSummary(manifest, state)),
  })
}

/** Of the environment's open run, else of its newest one; undefined where there were none. */
export async function newestReport(
  journal: Journal,
  project: string,
  environment: string,
): Promise<Report | undefined> {
  const run = (await openRunOf(journal, project, environment)) ?? (await listRuns(journal, project, environment, 1))[0]
  return run && reportOf(journal, run.name)
}

/** A backup, as the lists show it. */
export const backupSummary = (manifest: Manifest, state: BackupState): LookAnswers['backups']['backups'][number] => ({
  name: manifest.name,
  kind: manifest.kind,
  state,
  gate: manifest.gate,
  run: manifest.run,
  stage: manifest.stage,
  takenAt: manifest.takenAt,
  bytes: manifest.bytes,
  location: manifest.location,
  ...(manifest.tag === undefined ? {} : { tag: manifest.tag }),
})
