import type { Command } from 'commander'
import type { Context } from './context.js'
import { type SteerOptions, steer } from './steering.js'

export function define(command: Command): void {
  command
    .description(
      'Stops the run and undoes it: what that means depends on how far it is. It is refused where it is too late.',
    )
    .argument('<run>', 'a run, or its environment')
    .option('--reason <text>', 'why, for the report')
    .option('--by <name>', "who cancels; else HEADGATE_USER, else git's email")
}

export const run = (context: Context, command: Command): Promise<number> =>
  steer(context, 'cancel', command.args[0] ?? '', command.opts<SteerOptions>())
