import type { Command } from 'commander'
import type { Context } from './context.js'
import { type SteerOptions, steer } from './steering.js'

export function define(command: Command): void {
  command
    .description('Stops the run at the next point where the gate is open. `headgate continue` lifts it.')
    .argument('<run>', 'a run, or its environment')
    .option('--now', 'at the next step, also while consumers are paused')
    .option('--reason <text>', 'why, for the report')
    .option('--by <name>', "who holds; else HEADGATE_USER, else git's email")
}

export const run = (context: Context, command: Command): Promise<number> =>
  steer(context, 'hold', command.args[0] ?? '', command.opts<SteerOptions>())
