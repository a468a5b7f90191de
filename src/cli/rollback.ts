import type { Command } from 'commander'
import { failure } from '../domain/failures.js'
import { Version } from '../domain/plan.js'
import { addConfirmOptions } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { type RunOptions, startAndFollow } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      'Puts the image back that ran before; the schema stays as it is. Refused once a contract stage was applied. With --down-to applied migrations are taken back, behind a backup. For the database as it was: `headgate restore`.',
    )
    .argument('<environment>')
    .option('--down-to <version>', 'takes the migrations after this version back, as their ways down say')
    .option(
      '--tag <tag>',
      'with --down-to: the release whose files have the ways down; else the newest one migrated to',
    )
    .option('--digest <digest>', 'only if the plan is still this one')
    .option('--by <name>', "who asks; else HEADGATE_USER, else git's email")
    .option('--detach', 'return once the plan is frozen and the run is accepted')
  addConfirmOptions(command)
  addWaitOption(command)
}

export const run = (context: Context, command: Command): Promise<number> => {
  const { downTo: asked, ...options } = command.opts<RunOptions & { downTo?: string }>()
  const downTo = downToOf(asked)
  if (downTo === undefined && options.tag !== undefined)
    throw failure('UsageInvalid', '--tag goes with --down-to: without it the image that ran before comes back')
  return startAndFollow(context, 'rollback', command.args[0] ?? '', options, downTo === undefined ? {} : { downTo })
}

export function downToOf(version: string | undefined): string | undefined {
  if (version === undefined || Version.safeParse(version).success) return version
  throw failure('UsageInvalid', '--down-to: a version is one line of text, at most 200 characters')
}
