import type { Command } from 'commander'
import { failure } from '../domain/failures.js'
import { addConfirmOptions } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { type RunOptions, startAndFollow } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      'Carries a release into an environment: consumers paused, writers stopped, a backup, the migrations, proof, the new image. When something fails it is put back. At an approval it ends with exit 3 where nobody can be asked, and the run waits.',
    )
    .argument('<environment>')
    .option('--tag <tag>', 'the release')
    .option('--digest <digest>', 'deploy only if the plan is this one')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the plan is frozen and the run is accepted')
  addConfirmOptions(command)
  addWaitOption(command)
}

export async function run(context: Context, command: Command): Promise<number> {
  const [environment = ''] = command.args
  const options = command.opts<RunOptions>()
  if (options.tag === undefined) throw failure('UsageInvalid', 'which release? add --tag TAG')
  if (options.detach && options.wait !== undefined)
    throw failure('UsageInvalid', '--detach and --wait exclude each other')
  return startAndFollow(context, 'deploy', environment, options)
}
