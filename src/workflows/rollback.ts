import type { Ending } from '../domain/run.js'
import { conduct } from './conduct.js'
import { runbook } from './deploy.js'

/** The previous image on the schema as it is: a plan of one stage that deploys it. */
export const rollback = (input: unknown): Promise<Ending> => conduct('rollback', input, runbook)
