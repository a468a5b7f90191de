import type { ServiceConfiguration } from '../../domain/configuration.js'
import { command } from './command.js'
import { compose } from './compose.js'
import { elsewhere, type Reach } from './elsewhere.js'
import { kubernetes } from './kubernetes.js'
import type { Service, ServiceContext } from './port.js'

type Kinds = {
  [K in ServiceConfiguration['kind']]: (
    name: string,
    configuration: Extract<ServiceConfiguration, { kind: K }>,
    context: ServiceContext,
  ) => Service
}

/** Add a kind: one file, one line here, one member in domain/configuration.ts. The compiler asks for the rest. */
const kinds: Kinds = { command, compose, kubernetes }

/** The service `name`, here or on the host whose worker serves its queue. Asks nobody and changes nothing yet. */
export function createService(
  name: string,
  configuration: ServiceConfiguration,
  context: ServiceContext,
  reach: Reach,
): Service {
  const here = create(name, configuration, context)
  const { queue } = configuration
  return queue === undefined || queue === reach.queue ? here : elsewhere(here, queue, reach.callService)
}

function create<K extends keyof Kinds>(
  name: string,
  configuration: Extract<ServiceConfiguration, { kind: K }>,
  context: ServiceContext,
): Service {
  const kind: K = configuration.kind
  return kinds[kind](name, configuration, context)
}
