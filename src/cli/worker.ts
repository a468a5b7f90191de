import type { Command } from 'commander'
import { failure } from '../domain/failures.js'
import { Tag } from '../domain/names.js'
import { EXIT } from '../domain/outcome.js'
import { type RunningWorker, startWorker } from '../worker/worker.js'
import type { Context } from './context.js'
import { whenToldToEnd } from './leaving.js'

export function define(command: Command): void {
  command
    .description(
      'Serves every environment of headgate.yaml until it is told to stop. It holds the credentials; run it beside the database.',
    )
    .option('--health <host:port>', 'serve /healthz, /readyz and /metrics there')
    .option('--queue <name>', 'serve the services with this queue: on their host, and nothing else')
    .option('--build-id <id>', 'runs stay with the build that began them: keep its worker until they have ended')
}

export async function run({ settings, terminal, address }: Context, command: Command): Promise<number> {
  const { health, buildId, queue } = command.opts<{ health?: string; buildId?: string; queue?: string }>()
  if (buildId !== undefined && !Tag.safeParse(buildId).success)
    throw failure('UsageInvalid', `--build-id ${buildId}: 1 to 128 of letters, digits, . _ -`)
  if (buildId !== undefined && queue !== undefined)
    throw failure('UsageInvalid', '--build-id is for the worker that carries runs: with --queue leave it out')
  const where = await address()
  const worker = await startWorker({
    settings,
    ...(where === undefined ? {} : { address: where }),
    ...(buildId === undefined ? {} : { buildId }),
    ...(queue === undefined ? {} : { queue }),
    ...(health === undefined ? {} : { health: healthAddress(health) }),
    onLine: terminal.note,
  })
  await untilToldToStop(worker, terminal.note)
  return EXIT.done
}

/** The first signal lets running steps end or hand over, the second one leaves. */
async function untilToldToStop(worker: RunningWorker, onLine: (line: string) => void): Promise<void> {
  const forget = whenToldToEnd(() => stopInOrder(worker, onLine))
  await worker.ended.finally(forget)
}

export function stopInOrder(worker: RunningWorker, onLine: (line: string) => void): void {
  onLine('stopping: a running step is given 5 s, then the next worker takes it over; Ctrl-C again does not wait')
  worker.stop()
}

function healthAddress(text: string): { host: string; port: number } {
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) > 65_535)
    throw failure('UsageInvalid', `--health ${text}: write it like 127.0.0.1:8090`)
  return { host: host?.replace(/^\[(.*)\]$/, '$1') || '127.0.0.1', port: Number(port) }
}
