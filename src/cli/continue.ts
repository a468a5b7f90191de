import type { Command } from 'commander'
import type { Context } from './context.js'
import { type SteerOptions, steer } from './steering.js'

export function define(command: Command): void {
  command
    .description('Lifts a hold.')
    .argument('<run>', 'a run, or its environment')
    .option('--by <name>', "who continues; else HEADGATE_USER, else git's email")
}

export const run = (context: Context, command: Command): Promise<number> =>
  steer(context, 'continue', command.args[0] ?? '', command.opts<SteerOptions>())
