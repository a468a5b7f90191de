import type { Command } from 'commander'
import { insteadOfRecovery } from '../client/carrying.js'
import { look } from '../client/look.js'
import { carryingKind, type Place } from '../client/runs.js'
import { standingOf } from '../client/standing.js'
import { failedWith, failure, messageOf } from '../domain/failures.js'
import type { LookAnswers } from '../domain/look.js'
import { EXIT } from '../domain/outcome.js'
import { RecoverChoice } from '../domain/run.js'
import { addConfirmOptions, confirmReplacement } from './asking.js'
import type { Context } from './context.js'
import { addWaitOption } from './following.js'
import { locally } from './local.js'
import { choicesAsked, evidenceLines } from './output-evidence.js'
import { type RunOptions, startAndFollow } from './starting.js'

type RecoverOptions = RunOptions & Partial<Record<RecoverChoice | 'look' | 'local' | 'fromBackup', boolean>>

export function define(command: Command): void {
  command
    .description(
      'Shows what is known of the run that needs an operator, and does what you choose. Without a choice and a terminal: exit 6.',
    )
    .argument('<run>', 'a run or an environment')
    .option('--look', 'look at everything; let writers and consumers in where that is proven right, else say what is')
    .option('--finish', 'go on from where it stopped')
    .option(
      '--fix',
      'go on with a release that mends it: what is left is planned anew, approved where that is asked for',
    )
    .option('--tag <tag>', "with --fix: of that release; else the run's own, its files read again")
    .option('--restore', 'put the backup back; what is live now is kept as quarantine')
    .option('--redeploy', 'leave the database, put the previous image back')
    .option('--accept', 'leave everything as it is, let writers and consumers in')
    .option('--from-backup', 'a run that the journal has lost: open it again from what its newest dump says')
    .option('--local', 'where Temporal is away: with a server and a worker that last as long as this command')
    .option('--by <name>', "who decides; else HEADGATE_USER, else git's email")
  addConfirmOptions(command)
  addWaitOption(command)
}

export async function run(context: Context, command: Command): Promise<number> {
  const options = command.opts<RecoverOptions>()
  const recovering = (where: Context): Promise<number> => recover(where, command.args[0] ?? '', options)
  if (!options.local)
    return recovering(context).catch((error: unknown) => {
      if (!failedWith(error, 'TemporalUnreachable')) throw error
      // Without its cause, which knows less of what to do.
      throw failure('TemporalUnreachable', messageOf(error), undefined, {
        hint: "start Temporal again, or set TEMPORAL_ADDRESS; where it is away for longer, add --local on a worker's host",
      })
    })
  if (options.wait !== undefined)
    throw failure('UsageInvalid', '--local lasts as long as the recovery does: leave out --wait')
  const exit = await locally(context, recovering)
  if (exit === EXIT.needsOperator)
    context.terminal.note('as long as Temporal is away, add --local to what is typed next')
  if (exit === EXIT.viewerLeft) context.terminal.note('its server is gone, and the recovery with it: type it again')
  return exit
}

async function recover(context: Context, name: string, options: RecoverOptions): Promise<number> {
  const chosen = [...RecoverChoice.options, 'look' as const].filter((choice) => options[choice])
  if (chosen.length > 1) throw failure('UsageInvalid', `choose one of --${chosen.join(', --')}`)
  if (options.tag !== undefined && !options.fix && (chosen.length > 0 || !context.terminal.interactive))
    throw failure('UsageInvalid', '--tag is of the release that mends the run: it goes with --fix')
  const place = await context.placeOf(name)
  if (options.fromBackup) {
    if (place.run === undefined) throw failure('UsageInvalid', '--from-backup needs the name of the run')
    await requireAbandoned(context, place, place.run)
  }
  const evidence = await look(await context.engine(), place, {
    command: 'evidence',
    ...(place.run === undefined ? {} : { run: place.run }),
    ...(options.fromBackup ? { fromBackup: true } : {}),
  })
  const { terminal } = context
  const { run } = evidence.report
  // Its workflow may live still, and do nothing more for it.
  if (!evidence.byHand) await requireAbandoned(context, place, run)
  for (const text of evidenceLines(evidence, options.local)) terminal.say(text)
  if (options.local && evidence.atWork)
    throw failure('RunOpen', `a worker is at work on the database: ${evidence.atWork.join(', ')}`, undefined, {
      hint: 'its Temporal is not gone, only away from here: recover where it is, or stop that worker',
    })
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
  if (choice === 'restore') await confirmReplacement(context, options)
  const { tag: _, ...others } = options
  const asked = choice === 'fix' && chosen.length === 0 ? await releaseAsked(context, options) : options
  return startAndFollow(context, 'recover', place.environment, choice === 'fix' ? asked : others, {
    recover: {
      run,
      choice: choice === 'look' ? 'automatic' : choice,
      ...(evidence.report.kind === 'backup' ? { of: 'backup' } : {}),
    },
  })
}

/** A run that its workflow still carries is steered, not taken over. */
async function requireAbandoned(context: Context, place: Place, run: string): Promise<void> {
  const engine = await context.engine()
  const kind = await carryingKind(engine, place)
  const standing = await standingOf(engine, place, kind)
  if (standing?.stuck !== undefined)
    throw failure('RunOpen', `the workflow of ${run} is stuck: ${standing.stuck}`, undefined, {
      hint: insteadOfRecovery.stuck(run),
    })
  const { state } = standing ?? {}
  if (kind === 'recover' && state?.run === run && state.state === 'waiting')
    throw failure(
      'RunOpen',
      `a fix of ${run}${state.tag === undefined ? '' : ` by release ${state.tag}`} waits for an approval`,
      undefined,
      { hint: `${state.waiting}, or headgate reject ${run}; for another way out: headgate cancel ${run}` },
    )
  if (standing?.state?.run === run && !standing.ending)
    throw failure(
      'RunOpen',
      `${run} is still under way, at ${standing.state.step}: there is nothing to recover`,
      undefined,
      { hint: insteadOfRecovery.carried(run) },
    )
}

/** A release is seldom mended under the tag that has failed. */
async function releaseAsked({ terminal }: Context, options: RecoverOptions): Promise<RecoverOptions> {
  if (options.tag !== undefined) return options
  const tag = (
    await terminal.ask("by the release of which tag? (nothing: the run's own, its files read again) ")
  ).trim()
  return tag === '' ? options : { ...options, tag }
}

async function choiceAsked(
  { terminal }: Context,
  evidence: LookAnswers['evidence'],
): Promise<RecoverChoice | undefined> {
  if (!terminal.interactive) {
    terminal.say(`next  headgate recover ${evidence.report.run} --finish, --fix, --restore, --redeploy or --accept`)
    return undefined
  }
  return RecoverChoice.safeParse(await terminal.ask(choicesAsked())).data
}
