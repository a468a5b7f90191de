import type { Command } from 'commander'
import { look } from '../client/look.js'
import { addConfirmOptions, confirmReplacement } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { backupLines } from './output-lists.js'
import { type RunOptions, startAndFollow } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      'Puts a backup in the place of the live database, with the image of then. What is live now is kept as quarantine: what was written since leaves the live database.',
    )
    .argument('<environment>')
    .argument('<backup>', 'its name, with its kind where there are two: NAME/clone')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the plan is frozen and the run is accepted')
  addConfirmOptions(command)
  addWaitOption(command)
}

export async function run(context: Context, command: Command): Promise<number> {
  const [environment = '', backup = ''] = command.args
  const options = command.opts<RunOptions>()
  const place = await context.place(environment)
  const found = await look(await context.engine(), place, { command: 'backup', backup })
  for (const text of backupLines(environment, found).slice(0, -1)) context.terminal.say(text)
  await confirmReplacement(context, options)
  return startAndFollow(context, 'restore', environment, options, { backup: `${found.name}/${found.kind}` })
}
