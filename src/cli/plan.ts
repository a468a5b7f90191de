import type { Command } from 'commander'
import { look } from '../client/look.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { planPage } from './output-plan.js'
import { downToOf, tagOf } from './starting.js'

export function define(command: Command): void {
  command
    .description(
      'What a deploy would do: stages, SQL, who is paused, which way back there is, who approves; of a run, its own plan, as it is approved. It changes nothing.',
    )
    .argument('<environment>', 'an environment, or a run')
    .option('--tag <tag>', 'the release; without it what `headgate migrate` would do')
    .option('--fix', 'of a run that needs an operator: what `headgate recover RUN --fix` would do')
    .option('--down-to <version>', 'what `headgate rollback --down-to` would do')
    .option('--detailed-exitcode', 'exit 2 where something is to be done')
}

export async function run(context: Context, command: Command): Promise<number> {
  const options = command.opts<{ tag?: string; downTo?: string; fix?: boolean; detailedExitcode?: boolean }>()
  const tag = tagOf(options.tag)
  const downTo = downToOf(options.downTo)
  const place = await context.placeOf(command.args[0] ?? '')
  const { run } = place
  if (options.fix && downTo !== undefined) throw failure('UsageInvalid', '--fix goes forward: leave out --down-to')
  if (run !== undefined && !options.fix && (tag !== undefined || downTo !== undefined))
    throw failure(
      'UsageInvalid',
      `run ${run} has its plan: leave out --tag and --down-to; what would mend it is shown with --fix`,
    )
  const { digest, plan, review, blocks, rehearsed } = await look(await context.engine(), place, {
    command: 'plan',
    ...(tag === undefined ? {} : { tag }),
    ...(downTo === undefined ? {} : { downTo }),
    ...(run === undefined ? {} : { run }),
    ...(options.fix ? { fix: true as const } : {}),
  })
  const whose = run === undefined ? undefined : { run, isProposed: options.fix === true }
  const page = planPage(plan, digest, review, rehearsed, whose, blocks.length > 0)
  for (const text of page) context.terminal.say(text)
  context.terminal.answer({ schema: 'headgate/plan/1', digest, ...plan, review, rehearsed, blocks })
  if (blocks.length > 0) {
    const found = `${blocks.length === 1 ? 'a finding' : `${blocks.length} findings`} of the level stop`
    const why = review.failed === undefined ? found : 'nothing was reviewed'
    context.terminal.note(`blocked: ${why}; headgate explain E136`)
    return EXIT.blocked
  }
  return options.detailedExitcode && plan.stages.length > 0 ? EXIT.pending : EXIT.done
}
