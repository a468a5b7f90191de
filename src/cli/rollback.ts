import type { Command } from 'commander'
import { addConfirmOptions } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { type RunOptions, startAndFollow } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      'Puts the image back that ran before; the schema stays as it is. Refused once a contract stage was applied. For the database: `headgate restore`.',
    )
    .argument('<environment>')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the plan is frozen and the run is accepted')
  addConfirmOptions(command)
  addWaitOption(command)
}

export const run = (context: Context, command: Command): Promise<number> =>
  startAndFollow(context, 'rollback', command.args[0] ?? '', command.opts<RunOptions>())
