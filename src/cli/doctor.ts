import type { Command } from 'commander'
import { look } from '../client/look.js'
import { queueOf } from '../client/runs.js'
import { knownFailure, messageOf } from '../domain/failures.js'
import type { LookAnswers } from '../domain/look.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { exitOfError } from './exit-code.js'
import { doctorLines, isInTheWay } from './output-lists.js'
import { tagOf } from './starting.js'
import { environmentsOf } from './status.js'

export function define(command: Command): void {
  command
    .description(
      'Looks whether everything is in place: Temporal, worker, database, rights, tools, consumers, services. It changes nothing and prints the SQL to grant what is missing.',
    )
    .argument('[environment]', 'all environments without it')
    .option('--tag <tag>', "a release, where the migrations' place holds {tag}")
}

export async function run(context: Context, command: Command): Promise<number> {
  const { terminal } = context
  const [named] = command.args
  const tag = tagOf(command.opts<{ tag?: string }>().tag)
  const { address, namespace } = await context.engine()
  terminal.say(`Temporal ${address}, namespace ${namespace}`)
  const answers = []
  let exit: number = EXIT.done
  for (const environment of named === undefined ? await environmentsOf(context) : [named]) {
    const found = await doctorOf(context, environment, tag)
    terminal.say(`\n${environment}`)
    for (const text of doctorLines(found)) terminal.say(text)
    answers.push({ environment, ...found })
    exit = Math.max(exit, found.exit)
  }
  terminal.answer({ schema: 'headgate/doctor/1', temporal: { address, namespace }, environments: answers })
  terminal.say(
    exit === EXIT.done
      ? `\nnext  headgate plan ${named ?? 'ENVIRONMENT'} --tag TAG`
      : '\nnext  put right what says no, then headgate doctor again',
  )
  return exit
}

/** An environment whose worker is away is one line more, not the end of the others. */
async function doctorOf(
  context: Context,
  environment: string,
  tag: string | undefined,
): Promise<LookAnswers['doctor'] & { exit: number }> {
  const place = await context.place(environment)
  const worker = `polls ${queueOf(place)}`
  try {
    const found = await look(await context.engine(), place, {
      command: 'doctor',
      ...(tag === undefined ? {} : { tag }),
    })
    return {
      ...found,
      lines: [{ what: 'worker', ok: true, found: worker }, ...found.lines],
      exit: found.lines.some(isInTheWay) ? EXIT.usage : EXIT.done,
    }
  } catch (error) {
    const { code, detail } = knownFailure(error) ?? {}
    const isJournal = code === 'JournalUnavailable'
    const what = code === 'WorkerMissing' ? 'worker' : isJournal ? 'journal' : 'configuration'
    const grants = isJournal && detail?.evidence !== undefined ? detail.evidence.trimEnd().split('\n') : []
    return {
      host: 'this machine',
      lines: [{ what, ok: false, found: messageOf(error) }],
      grants,
      exit: exitOfError(error),
    }
  }
}
