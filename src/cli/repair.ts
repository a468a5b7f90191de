import type { Command } from 'commander'
import { failure } from '../domain/failures.js'
import { Mark } from '../domain/plan.js'
import { addConfirmOptions } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { type RunOptions, startAndFollow } from './starting.js'

const AS = { 'mark-applied': 'applied', 'mark-pending': 'pending' } as const

export function define(command: Command): void {
  command
    .description(
      "Writes one version into the migrator's history, or out of it, where somebody did by hand what a migration does, or undid it. mark-applied also takes the file of an applied one as it is now. The schema is not touched, and nothing checks that it fits. Refused while a run is open.",
    )
    .argument('<environment>')
    .argument('<how>', 'mark-applied or mark-pending')
    .argument('<version>', 'as `headgate info` shows it')
    .option('--tag <tag>', "the release, where the migrations' place holds {tag}")
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the plan is frozen and the run is accepted')
  addConfirmOptions(command)
  addWaitOption(command)
}

export const run = (context: Context, command: Command): Promise<number> => {
  const [environment = '', how = '', version = ''] = command.args
  const as = how === 'mark-applied' || how === 'mark-pending' ? AS[how] : undefined
  if (as === undefined) throw failure('UsageInvalid', `${JSON.stringify(how)}: it is mark-applied or mark-pending`)
  const { data: mark } = Mark.safeParse({ version, as })
  if (!mark) throw failure('UsageInvalid', 'a version is one line of text, at most 200 characters')
  return startAndFollow(context, 'repair', environment, command.opts<RunOptions>(), { mark })
}
