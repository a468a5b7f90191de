import type { Step } from './changing.js'
import { discardInit } from './init-database.js'

/** Removes what this stage has left that never came to be a backup, or was never swapped in. Twice is once. */
export async function discardUnfinished(step: Step): Promise<void> {
  const { site, run, stageNumber, fence } = step
  const owner = { project: run.project, environment: run.environment, run: run.name, stage: stageNumber }
  for (const engine of Object.values(site.backups)) await engine.discard(owner, fence)
  await discardInit(step)
}
