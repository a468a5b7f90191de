import type { Command } from 'commander'
import { look } from '../client/look.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { infoLines } from './output-lists.js'
import { tagOf } from './starting.js'

export function define(command: Command): void {
  command
    .description('Each migration on a line: VERSION/installed: name, or VERSION/pending: name.')
    .argument('<environment>')
    .option('--tag <tag>', "the release, where the migrations' place holds {tag}")
}

export async function run(context: Context, command: Command): Promise<number> {
  const [environment = ''] = command.args
  const tag = tagOf(command.opts<{ tag?: string }>().tag)
  const place = await context.place(environment)
  const info = await look(await context.engine(), place, { command: 'info', ...(tag === undefined ? {} : { tag }) })
  for (const text of infoLines(environment, tag, info)) context.terminal.say(text)
  context.terminal.answer({ schema: 'headgate/info/1', environment, ...info })
  return EXIT.done
}
