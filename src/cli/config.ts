import type { Command } from 'commander'
import { stringify } from 'yaml'
import { describeEnvironment, readConfigurationFile } from '../adapters/configuration/index.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'

export function define(command: Command): void {
  command
    .description(
      'An environment of headgate.yaml with every default written out, references as they are written. It needs no worker.',
    )
    .argument('<environment>')
}

export async function run({ settings, terminal }: Context, command: Command): Promise<number> {
  const [environment = ''] = command.args
  const described = describeEnvironment(await readConfigurationFile(settings.config), environment)
  terminal.answer({ schema: 'headgate/config/1', ...described })
  terminal.say(stringify(described).trimEnd())
  return EXIT.done
}
