import type { SmokeCheck, VerifyCheck } from '../../domain/configuration.js'
import { http } from './http.js'
import type { Check, CheckSetting } from './port.js'
import { type ReadyCheck, readyz } from './readyz.js'
import { sql } from './sql.js'

interface Configurations {
  sql: VerifyCheck
  http: SmokeCheck
  readyz: ReadyCheck
}

type Kinds = {
  [K in keyof Configurations]: (configuration: Configurations[K], setting: CheckSetting, position: number) => Check
}

/** Add a kind: one file, one line here and above, its type in domain/configuration.ts. The compiler asks for the rest. */
const kinds: Kinds = { sql, http, readyz }

/** Checks of one kind, in the order written. Asks nobody yet. */
export function createChecks<K extends keyof Configurations>(
  kind: K,
  configurations: readonly Configurations[K][],
  setting: CheckSetting,
): Check[] {
  const create: Kinds[K] = kinds[kind]
  return configurations.map((configuration, position) => create(configuration, setting, position))
}
