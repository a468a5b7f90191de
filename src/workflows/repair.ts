import type { Ending } from '../domain/run.js'
import { conduct } from './conduct.js'

/** Marks one migration as applied or pending in the migrator's history; the schema stays as it is. */
export const repair = (input: unknown): Promise<Ending> =>
  conduct('repair', input, async (run) => {
    await run.plan()
    await run.step('repair')
  })
