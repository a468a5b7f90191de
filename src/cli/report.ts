import type { Command } from 'commander'
import { look } from '../client/look.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { reportMarkdown } from './report-markdown.js'

export function define(command: Command): void {
  command
    .description('What a run did, step by step, from the journal: Markdown, or JSON with -o json.')
    .argument('<run>', 'a run, like production-20261120-103015')
    .option('--markdown', 'Markdown, which is the default')
}

export async function run(context: Context, command: Command): Promise<number> {
  const place = await context.placeOf(command.args[0] ?? '')
  if (place.run === undefined)
    throw failure(
      'UsageInvalid',
      `name a run of ${place.environment}: headgate history ${place.environment} lists them`,
    )
  const report = await look(await context.engine(), place, { command: 'report', run: place.run })
  context.terminal.answer({ schema: 'headgate/report/1', ...report })
  context.terminal.say(reportMarkdown(report).trimEnd())
  return EXIT.done
}
