import type { SmokeCheck, VerifyCheck } from '../../domain/configuration-checks.js'
import { command } from './command.js'
import { databaseErrors } from './database-errors.js'
import { exists } from './exists.js'
import { http } from './http.js'
import { metrics } from './metrics.js'
import type { Check, CheckSetting } from './port.js'
import { type ReadyCheck, readyz } from './readyz.js'
import { replicas } from './replicas.js'
import { slots } from './slots.js'
import { sql } from './sql.js'

/** A check is known by the key that no other kind has. */
type Configuration = SmokeCheck | VerifyCheck

/** Add a kind: one file, one line here, one member in domain/configuration-checks.ts. The compiler asks for the rest. */
function create(configuration: Configuration, setting: CheckSetting, position: number): Check {
  if ('sql' in configuration) return sql(configuration, setting)
  if ('http' in configuration) return http(configuration, setting, position)
  if ('metrics' in configuration) return metrics(configuration, setting)
  if ('replicaLag' in configuration) return replicas(configuration, setting)
  if ('slots' in configuration) return slots(configuration, setting)
  if ('databaseErrors' in configuration) return databaseErrors(configuration, setting)
  if ('command' in configuration) return command(configuration, setting)
  return exists(configuration, setting)
}

/** In the order written. Asks nobody yet. */
export const createChecks = (configurations: readonly Configuration[], setting: CheckSetting): Check[] =>
  configurations.map((configuration, position) => create(configuration, setting, position))

export const createReadiness = (configuration: ReadyCheck, setting: CheckSetting): Check =>
  readyz(configuration, setting)
