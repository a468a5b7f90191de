import type { Command } from 'commander'
import type { Context } from './context.js'
import { type DecideOptions, decide } from './deciding.js'

export function define(command: Command): void {
  command
    .description('Rejects the stage that waits: nothing of it is applied. It needs no signature.')
    .argument('<run>', 'a run, or its environment')
    .option('--reason <text>', 'why, for the report')
    .option('--by <name>', "who rejects; else HEADGATE_USER, else git's email")
}

export const run = (context: Context, command: Command): Promise<number> =>
  decide(context, 'reject', command.args[0] ?? '', command.opts<DecideOptions>())
