import type { Command } from 'commander'
import type { Context } from './context.js'
import { type RunOptions, startAndFollow } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      'Takes a dump with everything running, and verifies it. For the moment before a migration the run takes its own.',
    )
    .argument('<environment>')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the run is accepted')
}

export const run = (context: Context, command: Command): Promise<number> =>
  startAndFollow(context, 'backup', command.args[0] ?? '', command.opts<RunOptions>())
