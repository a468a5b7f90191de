import type { Command } from 'commander'
import { skipBackOff } from '../client/back-off.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { openRun, sayAnswer, type SteerOptions, steer } from './steering.js'

export function define(command: Command): void {
  command
    .description(
      'Runs the failed step again now: one that is held after a failure, or one that waits for its next attempt.',
    )
    .argument('<run>', 'a run, or its environment')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
}

export async function run(context: Context, command: Command): Promise<number> {
  const [name = ''] = command.args
  const { handle, state } = await openRun(context, name)
  if (state.waiting?.startsWith('headgate retry')) return steer(context, 'retry', name, command.opts<SteerOptions>())
  const skipped = await skipBackOff(await context.engine(), handle)
  sayAnswer(
    context,
    'retry',
    state.run,
    skipped === 0 ? 'no step waits for another attempt' : `${state.step} is attempted again now`,
  )
  return EXIT.done
}
