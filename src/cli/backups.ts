import { Argument, type Command } from 'commander'
import type { Engine } from '../client/connection.js'
import { look } from '../client/look.js'
import type { Place } from '../client/runs.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { backupLines, backupsLines } from './output-lists.js'

export function define(command: Command): void {
  command
    .description(
      'Lists the backups of an environment, shows one, or reads one again and compares it with its manifest.',
    )
    .addArgument(new Argument('<what>').choices(['list', 'show', 'verify']))
    .argument('<environment>')
    .argument('[backup]', 'for show and verify: its name, with its kind where there are two: NAME/clone')
    .option('--after <cursor>', 'the next page of a list')
}

type Answer = { lines: string[]; answer: object; exit: number }

export async function run(context: Context, command: Command): Promise<number> {
  const [what = '', environment = '', backup] = command.args
  if (what !== 'list' && backup === undefined)
    throw failure('UsageInvalid', `which one? headgate backups list ${environment}`)
  const place = await context.place(environment)
  const { after } = command.opts<{ after?: string }>()
  const engine = await context.engine()
  const { lines, answer, exit } =
    what === 'list'
      ? await list(engine, place, after)
      : what === 'show'
        ? await show(engine, place, backup ?? '')
        : await verify(engine, place, backup ?? '')
  for (const text of lines) context.terminal.say(text)
  context.terminal.answer({ schema: `headgate/backups-${what}/1`, environment, ...answer })
  return exit
}

async function list(engine: Engine, place: Place, after: string | undefined): Promise<Answer> {
  const answer = await look(engine, place, { command: 'backups', ...(after === undefined ? {} : { cursor: after }) })
  return { lines: backupsLines(place.environment, answer), answer, exit: EXIT.done }
}

async function show(engine: Engine, place: Place, backup: string): Promise<Answer> {
  const answer = await look(engine, place, { command: 'backup', backup })
  return { lines: backupLines(place.environment, answer), answer, exit: EXIT.done }
}

async function verify(engine: Engine, place: Place, backup: string): Promise<Answer> {
  const answer = await look(engine, place, { command: 'verifyBackup', backup })
  const { name, kind, valid, found } = answer
  const next = valid ? `headgate restore ${place.environment} ${name}/${kind}` : `headgate backup ${place.environment}`
  return {
    lines: [`${name}/${kind}: ${valid ? 'valid' : 'damaged'}, ${found}`, `next  ${next}`],
    answer,
    exit: valid ? EXIT.done : EXIT.failed,
  }
}
