import { type Command, Option } from 'commander'
import { duration } from '../domain/amounts.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { countOrders, untilOrdersCome } from './demo/counting.js'
import { Endings } from './demo/endings.js'
import { Ground } from './demo/ground.js'
import { endKept, tellKept } from './demo/keeping.js'
import { playScene, SCENES, type SceneName } from './demo/scenes.js'
import type { Occasion } from './demo/servers.js'
import { whenToldToEnd } from './leaving.js'
import type { Terminal } from './terminal.js'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

interface DemoOptions {
  scene?: SceneName
  keep?: boolean
  stop?: boolean
}

export function define(command: Command): void {
  command
    .description(
      'Shows three deploys of a small shop, on a PostgreSQL and a Temporal of its own, while a client keeps ordering: one that waits for an approval, one that fails and is put back, one whose worker is killed. About a minute; nothing is left behind.',
    )
    .addOption(new Option('--scene <name>', 'this one alone').choices(SCENES))
    .option('--keep', 'leave everything up to be looked at')
    .option('--stop', 'end what --keep left up')
}

export async function run(context: Context, command: Command): Promise<number> {
  const { scene, keep = false, stop = false } = command.opts<DemoOptions>()
  const { settings, terminal } = context
  if (keep || stop) {
    const ended = await endKept(settings.home)
    if (ended || stop) terminal.say(ended ? 'the demo that was kept is ended' : 'no demo was kept')
    if (stop) return EXIT.done
  }
  return inOrder(terminal, async (endings, signal) => {
    const exit = await play({ context, isKept: keep, endings, signal }, scene === undefined ? SCENES : [scene])
    if (keep) endings.forget()
    return exit
  })
}

/** Does the work, and ends what it started; Ctrl-C ends it before its time. */
async function inOrder(
  terminal: Terminal,
  work: (endings: Endings, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const endings = new Endings()
  const leaving = new AbortController()
  const leave = (): void => {
    terminal.note('\ntold to end: what was started is being ended; Ctrl-C again does not wait')
    leaving.abort(new Error('told to end'))
  }
  const forget = whenToldToEnd(leave, SIGNALS)
  try {
    return await work(endings, leaving.signal)
  } catch (error) {
    if (!leaving.signal.aborted) throw error
    return EXIT.viewerLeft
  } finally {
    await endings.end(terminal.note)
    forget()
  }
}

async function play(occasion: Occasion, scenes: readonly SceneName[]): Promise<number> {
  const { context, isKept, signal } = occasion
  const { terminal } = context
  terminal.say(
    'A shop takes orders while new releases of it are deployed. Its servers are started, for this demo alone.',
  )
  const ground = await introduced(occasion)
  await untilOrdersCome(ground, signal)
  const played = []
  for (const scene of scenes) played.push({ scene, ...(await playScene({ ground, terminal, signal }, scene)) })

  await ground.endClient()
  const { databases, acknowledged, found } = await countOrders(ground, signal)
  terminal.say(`\n${acknowledged} orders acknowledged, ${found} found in ${databases.join(' and ')}`)
  if (isKept) tellKept(terminal, ground, databases)
  const isAsPromised = acknowledged === found && played.every((one) => one.isAsPromised)
  terminal.answer({ schema: 'headgate/demo/1', scenes: played, acknowledged, found, databases, isAsPromised })
  return isAsPromised ? EXIT.done : EXIT.usage
}

async function introduced(occasion: Occasion): Promise<Ground> {
  const { say } = occasion.context.terminal
  const startedAt = performance.now()
  const ground = await Ground.lay(occasion)
  const { postgres, binaries } = ground.servers
  say(`  Temporal   every run, step by step: ${ground.linkTo()}`)
  say(`  database   PostgreSQL ${binaries.version}, port ${postgres.port}`)
  say(`  shop       release 1 at ${ground.shop.url}, a consumer that writes stock, a client with 10 orders a second`)
  say(`  worker     process ${ground.workerPid}, serves examples/shop/headgate.yaml`)
  say(`  up in      ${duration(performance.now() - startedAt)}; Ctrl-C ends it all`)
  return ground
}
