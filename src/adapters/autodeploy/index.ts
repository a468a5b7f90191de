import type { AutodeployConfiguration } from '../../domain/configuration.js'
import { command } from './command.js'
import { github } from './github.js'
import { gitlab } from './gitlab.js'
import { http } from './http.js'
import { jenkins } from './jenkins.js'
import type { Autodeploy, AutodeployContext, Held } from './port.js'

type Kinds = {
  [K in AutodeployConfiguration['kind']]: (
    configuration: Extract<AutodeployConfiguration, { kind: K }>,
    context: AutodeployContext,
  ) => Held
}

/** Add a kind: one file, one line here, one member in domain/configuration.ts. The compiler asks for the rest. */
const kinds: Kinds = { github, gitlab, jenkins, http, command }

/** Asks nobody and changes nothing yet. */
export function createAutodeploy(configuration: AutodeployConfiguration, context: AutodeployContext): Autodeploy {
  const { calls, ...held } = create(configuration, context)
  const { name, within, running } = configuration
  return { name: name ?? `${configuration.kind} ${calls}`, withinMs: within, waits: running === 'wait', ...held }
}

function create<K extends keyof Kinds>(
  configuration: Extract<AutodeployConfiguration, { kind: K }>,
  context: AutodeployContext,
): Held {
  const kind: K = configuration.kind
  return kinds[kind](configuration, context)
}
