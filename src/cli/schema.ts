import type { Command } from 'commander'
import { configurationJsonSchema } from '../domain/configuration-schema.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'

export function define(command: Command): void {
  command.description('The JSON Schema of headgate.yaml, for editors.')
}

export async function run({ terminal }: Context): Promise<number> {
  const schema = configurationJsonSchema()
  terminal.answer(schema)
  terminal.say(JSON.stringify(schema, null, 2))
  return EXIT.done
}
