import type { Command } from 'commander'
import { look } from '../client/look.js'
import { failure } from '../domain/failures.js'
import { addConfirmOptions, declined } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { planPage } from './output-plan.js'
import { downToOf, type RunOptions, startAndFollow } from './starting.js'

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

export async function run(context: Context, command: Command): Promise<number> {
  const { downTo: asked, ...options } = command.opts<RunOptions & { downTo?: string }>()
  const [environment = ''] = command.args
  const downTo = downToOf(asked)
  if (downTo === undefined && options.tag !== undefined)
    throw failure('UsageInvalid', '--tag goes with --down-to: without it the image that ran before comes back')
  if (downTo === undefined) return startAndFollow(context, 'rollback', environment, options)
  const digest = options.digest ?? (options.yes ? undefined : await agreedTo(context, environment, downTo, options.tag))
  return startAndFollow(context, 'rollback', environment, digest === undefined ? options : { ...options, digest }, {
    downTo,
  })
}

/** Shows the plan, and asks: what a way down drops is in the backup alone. Returns the digest of what was shown; nothing where there is nothing to do. */
async function agreedTo(
  context: Context,
  environment: string,
  downTo: string,
  tag: string | undefined,
): Promise<string | undefined> {
  const { terminal } = context
  const question = { command: 'plan', downTo, ...(tag === undefined ? {} : { tag }) } as const
  const { plan, digest } = await look(await context.engine(), await context.place(environment), question)
  if (plan.stages.length === 0) return undefined
  for (const text of planPage(plan, digest).slice(0, -1)) terminal.say(text)
  if (!terminal.interactive)
    throw failure(
      'UsageInvalid',
      'what a way down drops is in the backup alone: add --yes, or the --digest of its plan',
    )
  const typed = await terminal.ask('Take these migrations back? [y/N] ')
  if (!/^y(es)?$/i.test(typed)) throw declined('not taken back: nothing was started')
  return digest
}
