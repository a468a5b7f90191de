import type { NotifierConfiguration } from '../../domain/configuration.js'
import { command } from './command.js'
import { email } from './email.js'
import type { Notifier, NotifierContext } from './port.js'
import { slack } from './slack.js'
import { webhook } from './webhook.js'

type Kinds = {
  [K in NotifierConfiguration['kind']]: (
    configuration: Extract<NotifierConfiguration, { kind: K }>,
    context: NotifierContext,
  ) => Notifier
}

/** Add a kind: one file, one line here, one member in domain/configuration.ts. The compiler asks for the rest. */
const kinds: Kinds = { webhook, slack, email, command }

/** A notifier. Tells nobody yet. */
export function createNotifier(configuration: NotifierConfiguration, context: NotifierContext): Notifier {
  return create(configuration, context)
}

function create<K extends keyof Kinds>(
  configuration: Extract<NotifierConfiguration, { kind: K }>,
  context: NotifierContext,
): Notifier {
  const kind: K = configuration.kind
  return kinds[kind](configuration, context)
}

export { notifyAll } from './notify-all.js'
