import type { Ending } from '../domain/run.js'
import { conduct } from './conduct.js'

/** A fresh database: made beside, filled, proven, then put in its place. */
export const initDb = (input: unknown): Promise<Ending> =>
  conduct('init-db', input, async (run) => {
    await run.plan()
    await run.step('init-db')
  })
