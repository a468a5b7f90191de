import type { Command } from 'commander'
import { addConfirmOptions } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { type RunOptions, startAndFollow } from './starting.js'

export function define(command: Command): void {
  command
    .description('Applies the pending migrations as `deploy` does, without a new image.')
    .argument('<environment>')
    .option('--tag <tag>', "the release, where the migrations' place holds {tag}")
    .option('--digest <digest>', 'migrate only if the plan is this one')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the plan is frozen and the run is accepted')
  addConfirmOptions(command)
  addWaitOption(command)
}

export const run = (context: Context, command: Command): Promise<number> =>
  startAndFollow(context, 'migrate', command.args[0] ?? '', command.opts<RunOptions>())
