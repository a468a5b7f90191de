import type { ConsumerConfiguration } from '../../domain/configuration.js'
import { command } from './command.js'
import { compose } from './compose.js'
import { http } from './http.js'
import { kafkaConnect } from './kafka-connect.js'
import { withGroup } from './kafka-group.js'
import { kubernetes } from './kubernetes.js'
import type { Consumer, ConsumerContext } from './port.js'

type Kinds = {
  [K in ConsumerConfiguration['kind']]: (
    name: string,
    configuration: Extract<ConsumerConfiguration, { kind: K }>,
    context: ConsumerContext,
  ) => Consumer
}

/** Add a kind: one file, one line here, one member in domain/configuration.ts. The compiler asks for the rest. */
const kinds: Kinds = { http, command, compose, 'kafka-connect': kafkaConnect, kubernetes }

/** The consumer `name`. Asks nobody and changes nothing yet. */
export function createConsumer(name: string, configuration: ConsumerConfiguration, context: ConsumerContext): Consumer {
  const consumer = create(name, configuration, context)
  const { group } = configuration
  return group === undefined ? consumer : withGroup(consumer, group, context)
}

function create<K extends keyof Kinds>(
  name: string,
  configuration: Extract<ConsumerConfiguration, { kind: K }>,
  context: ConsumerContext,
): Consumer {
  const kind: K = configuration.kind
  return kinds[kind](name, configuration, context)
}
