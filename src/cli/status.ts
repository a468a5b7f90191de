import type { Command } from 'commander'
import { environmentNames, projectName } from '../adapters/configuration/index.js'
import { look, openRunAmong } from '../client/look.js'
import type { Engine } from '../client/connection.js'
import { listEnvironments, type Place } from '../client/runs.js'
import { type Standing, standingOf } from '../client/standing.js'
import { isOpen } from '../domain/ending.js'
import { failedWith, failure, messageOf } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { LookAnswers } from '../domain/look.js'
import type { Report } from '../domain/report.js'
import type { Context } from './context.js'
import { endedBefore, nothingRan, type StatusAnswer, statusAnswer, statusLines } from './output-status.js'

export function define(command: Command): void {
  command
    .description('Where runs stand: of one environment, of one run, or of all environments.')
    .argument('[run]', 'a run or an environment; all environments without it')
    .option('--exit-status', "exit as `watch` would: the run's own code, 3 waiting for approval, 8 under way, 6 stuck")
}

export async function run(context: Context, command: Command): Promise<number> {
  const [name] = command.args
  const { terminal } = context
  const { exitStatus = false } = command.opts<{ exitStatus?: boolean }>()
  if (name !== undefined) {
    const { lines, answer } = await statusOf(context, name)
    for (const text of lines) terminal.say(text)
    terminal.answer({ schema: 'headgate/status/1', ...answer })
    return exitStatus ? exitOf(answer) : EXIT.done
  }
  const answers: StatusAnswer[] = []
  for (const environment of await environmentsOf(context)) {
    const { lines, answer } = await statusOf(context, environment)
    if (answers.length > 0) terminal.say()
    for (const text of lines) terminal.say(text)
    answers.push(answer)
  }
  if (answers.length === 0) terminal.say(`no runs of ${await context.project()} so far`)
  terminal.answer({ schema: 'headgate/status/1', environments: answers })
  return exitStatus ? Math.max(EXIT.done, ...answers.map(exitOf)) : EXIT.done
}

async function statusOf(context: Context, name: string): Promise<Shown> {
  const place = await context.placeOf(name)
  try {
    return await statusInTemporal(await context.engine(), place)
  } catch (error) {
    if (!failedWith(error, 'TemporalUnreachable')) throw error
    return statusInJournal(context, place, error)
  }
}

/** On a worker's host, where the journal can be asked without Temporal. Elsewhere throws what was thrown. */
async function statusInJournal(context: Context, place: Place & { run?: string }, why: unknown): Promise<Shown> {
  if (!(await context.source())) throw why
  const { reportFromJournal } = await import('../worker/journal-view.js')
  const report = await reportFromJournal(context.settings, place).catch((error: unknown) => {
    if (failedWith(error, 'ReferenceMissing') || failedWith(error, 'JournalUnavailable')) throw why
    throw error
  })
  // That nothing is known of a run does not say that none is under way.
  if (!report) throw why
  context.terminal.note(`${messageOf(why)}; from the journal:`)
  const { ending, ...known } = report
  if (ending && isOpen(ending))
    return endedBefore(known, {
      state: 'unknown',
      why: `open, ${ending.outcome}: ${ending.reason}`,
      next: `headgate recover ${report.run} --local, or start Temporal again`,
    })
  if (ending && place.run === undefined)
    return endedBefore(known, {
      state: 'unknown',
      why: `the newest run in the journal has ended: ${ending.outcome}; only Temporal knows whether one has begun since`,
      next: 'start Temporal again',
    })
  const step = report.steps.at(-1)
  const at = step ? `, at ${step.step}` : ''
  return endedBefore(report, {
    state: 'unknown',
    why: `open in the journal${at}; only Temporal knows whether its workflow goes on`,
    next: `start Temporal again; if it is gone for good: headgate recover ${report.run} --local`,
  })
}

async function statusInTemporal(engine: Engine, place: Place & { run?: string }): Promise<Shown> {
  const standing = await standingOf(engine, place)
  if (standing && (place.run === undefined || runOf(standing) === place.run)) {
    const journaled = standing.ending === undefined ? undefined : await knownBetter(engine, place, standing)
    return journaled ?? shown(place, standing)
  }
  const run = place.run ?? (await runsInJournal(engine, place))[0]?.run
  if (run === undefined) return nothingRan(place.environment)
  return endedBefore(await look(engine, place, { command: 'report', run }))
}

type Shown = ReturnType<typeof endedBefore>

/**
 * What the journal knows better than the newest workflow, which has ended: a run that is still open, one that is being
 * recovered or was, and the newest one where the workflow became no run (it was refused). Undefined where no worker tells.
 */
async function knownBetter(
  engine: Engine,
  place: Place & { run?: string },
  standing: Standing,
): Promise<Shown | undefined> {
  const waits = standing.ending !== undefined && isOpen(standing.ending)
  const recovery = waits ? await recoveryOf(engine, place, runOf(standing)) : undefined
  if (place.run !== undefined) return (await recoveredSince(engine, place, standing)) ?? recovery
  const runs = await runsInJournal(engine, place)
  const open = openRunAmong(runs)
  if (open !== undefined && open.run === runOf(standing) && recovery) return recovery
  if (open !== undefined && open.run !== runOf(standing))
    return (await recoveryOf(engine, place, open.run)) ?? ended(engine, place, open.run)
  const [newest] = runs
  if (runOf(standing) === '' && newest !== undefined) return ended(engine, place, newest.run)
  return recoveredSince(engine, place, standing)
}

/** The newest recovery, where it is of this run: it knows more than the workflow it took the run over from. Throws `WorkerMissing`. */
async function recoveryOf(engine: Engine, place: Place, run: string): Promise<Shown | undefined> {
  const recovery = await standingOf(engine, place, 'recover')
  return recovery?.state?.run === run ? shown(place, recovery) : undefined
}

const reportOf = (engine: Engine, place: Place, run: string): Promise<Report | undefined> =>
  look(engine, place, { command: 'report', run }).catch(() => undefined)

const ended = async (engine: Engine, place: Place, run: string): Promise<Shown | undefined> => {
  const report = await reportOf(engine, place, run)
  return report && endedBefore(report)
}

const shown = ({ environment }: Place, standing: Standing): Shown => ({
  lines: statusLines(environment, standing, Date.now()),
  answer: statusAnswer(environment, standing),
})

/** A recovery ends a run in the journal: its own workflow does not know of it. */
async function recoveredSince(engine: Engine, place: Place, standing: Standing): Promise<Shown | undefined> {
  if (standing.ending?.outcome !== 'needs-operator' || runOf(standing) === '') return undefined
  const report = await reportOf(engine, place, runOf(standing))
  return report?.ending && !isOpen(report.ending) ? endedBefore(report) : undefined
}

/** Newest first, also those of a Temporal that knows nothing of them any more; none where no worker could tell. */
async function runsInJournal(engine: Engine, place: Place): Promise<LookAnswers['history']['runs']> {
  return (await look(engine, place, { command: 'history' }).catch(() => undefined))?.runs ?? []
}

const runOf = ({ state, ending }: Standing): string => state?.run ?? ending?.run ?? ''

/** Of the file where there is one, else those that had runs. */
export async function environmentsOf(context: Context): Promise<string[]> {
  const source = await context.source()
  const project = await context.project()
  if (source && projectName(source) === project) return environmentNames(source)
  return listEnvironments(await context.engine(), project)
}

function exitOf({ state, exit }: StatusAnswer): number {
  switch (state) {
    case 'ended':
      return exit ?? EXIT.done
    case 'waiting':
      return EXIT.waiting
    case 'stuck':
      return EXIT.needsOperator
    case 'none':
      return EXIT.done
    case 'unknown':
      return EXIT.unreachable
    case 'running':
    case 'held':
      return EXIT.waitOver
    default:
      throw failure('Unexpected', `no such state`)
  }
}
