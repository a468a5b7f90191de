import type { Ending } from '../domain/run.js'
import { conduct } from './conduct.js'

/** A dump of the database as it is, with everything running: never an automatic restore point. */
export const backup = (input: unknown): Promise<Ending> =>
  conduct('backup', input, async (run) => {
    await run.plan()
    await run.step('backup')
  })
