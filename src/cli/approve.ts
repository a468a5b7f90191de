import type { Command } from 'commander'
import type { Context } from './context.js'
import { type DecideOptions, decide } from './deciding.js'

export function define(command: Command): void {
  command
    .description(
      'Approves the stage that waits. It shows what that is; --digest says that you have seen the plan and mean this one.',
    )
    .argument('<run>', 'a run, or its environment')
    .option('--digest <digest>', "the plan's digest, its first 12 digits or more")
    .option('--yes', 'approve the plan as it is now, without asking')
    .option('--key <file>', "the SSH key to sign with; else HEADGATE_SSH_KEY, else the agent's")
    .option('--by <name>', "who approves; else HEADGATE_USER, else git's email")
    .option('--reason <text>', 'why, for the report')
}

export const run = (context: Context, command: Command): Promise<number> =>
  decide(context, 'approve', command.args[0] ?? '', command.opts<DecideOptions>())
