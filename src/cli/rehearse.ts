import type { Command } from 'commander'
import { look } from '../client/look.js'
import { EXIT } from '../domain/outcome.js'
import { wentWell } from '../domain/rehearsal.js'
import type { Context } from './context.js'
import { rehearsalLines } from './output-rehearsal.js'
import { tagOf } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      `Applies the pending migrations to a copy (the newest backup, or rehearsal.from), one at a time, and measures each statement: time, locks and how long they are held, what is rewritten. The environment's own database is not touched; the copy is dropped. Exit 4 where a migration or the previous image fails.`,
    )
    .argument('<environment>')
    .option('--tag <tag>', "the release, where the migrations' place holds {tag}")
}

export async function run(context: Context, command: Command): Promise<number> {
  const { terminal } = context
  const [environment = ''] = command.args
  const tag = tagOf(command.opts<{ tag?: string }>().tag)
  const place = await context.place(environment)
  const question = { command: 'rehearse', ...(tag === undefined ? {} : { tag }) } as const
  const rehearsal = await look(await context.engine(), place, question, { within: '25h', onProgress: terminal.note })
  for (const text of rehearsalLines(environment, rehearsal)) terminal.say(text)
  terminal.answer({ schema: 'headgate/rehearse/1', environment, ...rehearsal })
  return wentWell(rehearsal) ? EXIT.done : EXIT.blocked
}
