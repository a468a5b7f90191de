import type { Command } from 'commander'
import { runProgram } from '../adapters/process/run.js'
import { look } from '../client/look.js'
import type { Place } from '../client/runs.js'
import { failure } from '../domain/failures.js'
import type { Requester } from '../domain/plan.js'
import { plain } from '../domain/text.js'
import type { Context } from './context.js'

export interface ConfirmOptions {
  yes?: boolean
  confirmDatabase?: string
}

export function addConfirmOptions(command: Command): void {
  command
    .option('--yes', 'do not ask; a protected environment also wants --confirm-database')
    .option('--confirm-database <name>', 'the name of the database, instead of typing it')
}

/** A protected environment's database is named by a person, who has to know which one it is. Throws `UsageInvalid` with what to type. */
export async function confirmDatabase(
  context: Context,
  place: Place,
  options: ConfirmOptions,
  drops = false,
): Promise<void> {
  const { terminal } = context
  const { database, protected: isProtected } = await look(await context.engine(), place, { command: 'database' })
  const { yes = false, confirmDatabase: named } = options
  if (named !== undefined && named !== database)
    throw failure(
      'UsageInvalid',
      `--confirm-database ${JSON.stringify(named)} is not the database of ${place.environment}`,
    )
  if ((!isProtected && !drops) || (yes && named !== undefined)) return
  const why = drops ? `everything in database ${database} is dropped` : `${place.environment} is protected`
  if (!terminal.interactive) throw failure('UsageInvalid', `${why}: add --yes --confirm-database ${database}`)
  const typed = await terminal.ask(`${why}. Type the name of its database (${database}) to go on: `)
  if (typed !== database) throw declined(`that is not ${database}: nothing was started`)
}

/** What is live is about to be replaced by a backup: asked once more. Throws `UsageInvalid`. */
export async function confirmReplacement({ terminal }: Context, { yes }: ConfirmOptions): Promise<void> {
  if (yes) return
  if (!terminal.interactive) throw failure('UsageInvalid', 'a restore replaces the live database: add --yes')
  const typed = await terminal.ask('Put this in the place of the live database? [y/N] ')
  if (!/^y(es)?$/i.test(typed)) throw declined('not restored: nothing was started')
}

/** A person was asked, and did not say yes. */
export const declined = (what: string): Error =>
  failure('UsageInvalid', what, undefined, { hint: 'nothing, or type the command again' })

/** Who asks: a claim, recorded as one. */
export async function requesterOf({ settings }: Context, by?: string): Promise<Requester> {
  return {
    by: plain(by ?? settings.user ?? (await gitEmail()) ?? process.env.USER ?? 'somebody').slice(0, 200),
    verified: false,
  }
}

async function gitEmail(): Promise<string | undefined> {
  const home = process.env.HOME
  const request = {
    name: 'git config',
    command: ['git', 'config', 'user.email'],
    ...(home === undefined ? {} : { env: { HOME: home } }),
    timeoutMs: 2_000,
  }
  const result = await runProgram(request, new AbortController().signal).catch(() => undefined)
  return (result?.exitCode === 0 && result.stdout.trim()) || undefined
}
