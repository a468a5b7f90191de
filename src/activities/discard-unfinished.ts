import type { Step } from './changing.js'

/** Removes what this stage has left that never came to be a backup, or was never swapped in. Twice is once. */
export async function discardUnfinished({ site, run, stageNumber, fence }: Step): Promise<void> {
  const owner = { project: run.project, environment: run.environment, run: run.name, stage: stageNumber }
  for (const engine of Object.values(site.backups)) await engine.discard(owner, fence)
}
