import type { Command } from 'commander'
import { look } from '../client/look.js'
import type { Place } from '../client/runs.js'
import { standingOf } from '../client/standing.js'
import { failure } from '../domain/failures.js'
import type { LookAnswers } from '../domain/look.js'
import { EXIT } from '../domain/outcome.js'
import { RecoverChoice } from '../domain/run.js'
import { addConfirmOptions } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { choicesAsked, evidenceLines } from './output-evidence.js'
import { type RunOptions, startAndFollow } from './starting.js'

type RecoverOptions = RunOptions & Partial<Record<RecoverChoice, boolean>>

export function define(command: Command): void {
  command
    .description(
      'Shows what is known of the run that needs an operator, and does what you choose. Without a choice and a terminal: exit 6.',
    )
    .argument('<run>', 'a run or an environment')
    .option('--finish', 'go on from where it stopped')
    .option('--restore', 'put the backup back; what is live now is kept as quarantine')
    .option('--redeploy', 'leave the database, put the previous image back')
    .option('--accept', 'leave everything as it is, let writers and consumers in')
    .option('--by <name>', "who decides; else HEADGATE_USER, else git's email")
  addConfirmOptions(command)
  addWaitOption(command)
}

export async function run(context: Context, command: Command): Promise<number> {
  const options = command.opts<RecoverOptions>()
  const chosen = RecoverChoice.options.filter((choice) => options[choice])
  if (chosen.length > 1) throw failure('UsageInvalid', `choose one of --${chosen.join(', --')}`)
  const place = await context.placeOf(command.args[0] ?? '')
  const evidence = await look(await context.engine(), place, {
    command: 'evidence',
    ...(place.run === undefined ? {} : { run: place.run }),
  })
  const { terminal } = context
  const { run } = evidence.report
  for (const text of evidenceLines(evidence)) terminal.say(text)
  await requireAbandoned(context, place, run)
  const choice = chosen[0] ?? (await choiceAsked(context, evidence))
  if (choice === undefined) {
    terminal.answer({
      schema: 'headgate/recover/1',
      ...evidence,
      choices: RecoverChoice.options,
      exit: EXIT.needsOperator,
    })
    return EXIT.needsOperator
  }
  return startAndFollow(context, 'recover', place.environment, options, { recover: { run, choice } })
}

/** A run that its workflow still carries is steered, not taken over. */
async function requireAbandoned(context: Context, place: Place, run: string): Promise<void> {
  const standing = await standingOf(await context.engine(), place)
  if (standing?.stuck !== undefined)
    throw failure('RunOpen', `the workflow of ${run} is stuck: ${standing.stuck}`, undefined, {
      hint: `put right what it says, or terminate the workflow in Temporal; then headgate recover ${run}`,
    })
  if (standing?.state?.run === run && !standing.ending)
    throw failure(
      'RunOpen',
      `${run} is still under way, at ${standing.state.step}: there is nothing to recover`,
      undefined,
      { hint: `follow it with headgate watch ${run}; steer it with headgate hold, retry or cancel` },
    )
}

async function choiceAsked(
  { terminal }: Context,
  evidence: LookAnswers['evidence'],
): Promise<RecoverChoice | undefined> {
  if (!terminal.interactive) {
    terminal.say(`next  headgate recover ${evidence.report.run} --finish, --restore, --redeploy or --accept`)
    return undefined
  }
  return RecoverChoice.safeParse(await terminal.ask(choicesAsked())).data
}
