import type { Command } from 'commander'
import { look } from '../client/look.js'
import { RunName } from '../domain/names.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { historyLines } from './output-lists.js'
import { environmentsOf } from './status.js'

export function define(command: Command): void {
  command
    .description('The runs so far, newest first: kind, outcome, who asked, why it ended so.')
    .argument('[environment]', 'all environments without it')
    .option('--before <run>', 'those before that run')
}

export async function run(context: Context, command: Command): Promise<number> {
  const [environment] = command.args
  const { before } = command.opts<{ before?: string }>()
  const { terminal } = context
  if (before !== undefined && !RunName.safeParse(before).success)
    throw failure('UsageInvalid', '--before names a run, like production-20261120-103015')
  const engine = await context.engine()
  const names = environment === undefined ? await environmentsOf(context) : [environment]
  const answers = []
  for (const name of names) {
    const place = await context.place(name)
    const history = await look(engine, place, {
      command: 'history',
      ...(before === undefined ? {} : { cursor: before }),
    })
    if (answers.length > 0) terminal.say()
    for (const text of historyLines(name, history)) terminal.say(text)
    answers.push({ environment: name, ...history })
  }
  terminal.answer({
    schema: 'headgate/history/1',
    ...(environment === undefined ? { environments: answers } : answers[0]),
  })
  return EXIT.done
}
