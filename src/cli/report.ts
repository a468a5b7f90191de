import { type Command, Option } from 'commander'
import { look } from '../client/look.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { reportMarkdown } from './report-markdown.js'
import { reportLines } from './report-text.js'

export function define(command: Command): void {
  command
    .description('What a run did, step by step, from the journal.')
    .argument('<run>', 'a run, like production-20261120-103015; of an environment, the newest')
    .addOption(
      new Option(
        '-o, --output <format>',
        'text is for a terminal, Markdown for everything else, unless you say so',
      ).choices(['text', 'markdown', 'json']),
    )
}

export async function run(context: Context, command: Command): Promise<number> {
  const place = await context.placeOf(command.args[0] ?? '')
  const engine = await context.engine()
  const run = place.run ?? (await look(engine, place, { command: 'history' })).runs[0]?.run
  if (run === undefined) throw failure('RunUnknown', `${place.environment} had no runs so far`)
  const report = await look(engine, place, { command: 'report', run })
  const { terminal } = context
  const { output = terminal.isTty ? 'text' : 'markdown' } = command.opts<{ output?: string }>()
  terminal.answer({ schema: 'headgate/report/1', ...report })
  terminal.say(output === 'text' ? reportLines(report).join('\n') : reportMarkdown(report).trimEnd())
  return EXIT.done
}
