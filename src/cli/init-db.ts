import type { Command } from 'commander'
import { addConfirmOptions } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { type RunOptions, startAndFollow } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      "Makes a fresh database with the release's schema: by the migrator's `init` command, whose migrations are marked as applied then, else by the migrations from the first. It is made beside and put in place once it is proven. Refused where the database has tables, unless --drop says to drop it; never in a protected environment.",
    )
    .argument('<environment>')
    .option('--tag <tag>', "the release, where the migrations' place holds {tag}")
    .option('--drop', 'drops the database that is there, with everything in it')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the plan is frozen and the run is accepted')
  addConfirmOptions(command)
  addWaitOption(command)
}

export const run = (context: Context, command: Command): Promise<number> => {
  const { drop, ...options } = command.opts<RunOptions & { drop?: true }>()
  return startAndFollow(context, 'init-db', command.args[0] ?? '', options, drop ? { drop } : {})
}
