import type { Command } from 'commander'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { whenToldToEnd } from './leaving.js'
import { isRight, roundtripLines } from './output-roundtrip.js'
import { tagOf } from './starting.js'

const VARIABLE = 'HEADGATE_SCRATCH_URL'

export function define(command: Command): void {
  command
    .description(
      `Applies the release's migrations to a scratch database, the newest one down and up again, and compares. Needs neither Temporal nor a worker: for a pull request's job. Exit 4 where something differs.`,
    )
    .argument('<environment>', 'whose migrator is used; nothing is done to its database')
    .option('--url <url>', `a database on the server where the scratch database is made; else ${VARIABLE}`)
    .option('--tag <tag>', "the release, where the migrations' place holds {tag}")
    .option('--all', 'each migration, from the first on')
}

export async function run(context: Context, command: Command): Promise<number> {
  const { settings, terminal } = context
  const [environment = ''] = command.args
  const {
    tag,
    all = false,
    url = process.env[VARIABLE],
  } = command.opts<{ tag?: string; all?: boolean; url?: string }>()
  if (!url) throw failure('UsageInvalid', `where? --url names a database on a throw-away server, else ${VARIABLE} does`)
  const { roundtrip } = await import('../worker/roundtrip.js')
  const leaving = new AbortController()
  const forget = whenToldToEnd(() => leaving.abort(failure('Cancelled', 'the round trip was broken off')))
  try {
    const request = { environment, url, tag: tagOf(tag), all }
    const trips = await roundtrip(settings, request, terminal.note, leaving.signal)
    for (const text of roundtripLines(trips)) terminal.say(text)
    terminal.answer({ schema: 'headgate/roundtrip/1', environment, trips })
    return trips.every(isRight) ? EXIT.done : EXIT.blocked
  } finally {
    forget()
  }
}
