import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findTemporal } from '../adapters/process/provision.js'
import { startTemporal } from '../adapters/process/temporal-server.js'
import { connectLocal } from '../client/connection.js'
import { failedWith, failure } from '../domain/failures.js'
import { startWorker } from '../worker/worker.js'
import type { Context } from './context.js'

/**
 * Does `act` with a Temporal server and a worker of its own, which end with it: on a worker's host, where Temporal is away or
 * gone. Throws `UsageInvalid` where Temporal answers: what it carries must not be done beside it.
 */
export async function locally<T>(context: Context, act: (local: Context) => Promise<T>): Promise<T> {
  await requireAway(context)
  const { settings, terminal } = context
  const executable = await findTemporal(settings.cache, (doing) => terminal.note(`Temporal  ${doing}`))
  const folder = await mkdtemp(join(tmpdir(), 'headgate-local-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  try {
    const server = await startTemporal({ executable, headless: true, logFile: join(folder, 'temporal.log') })
    try {
      const worker = await startWorker({ settings, address: server.address, isLocal: true, onLine: terminal.note })
      try {
        const engine = await connectLocal(server.address)
        return await act({ ...context, address: async () => server.address, engine: async () => engine }).finally(
          engine.close,
        )
      } finally {
        worker.stop()
        await worker.ended
      }
    } finally {
      await server.stop()
    }
  } finally {
    process.off('exit', remove)
    remove()
  }
}

/** UNAVAILABLE and DEADLINE_EXCEEDED of gRPC: nobody answered. */
const NOBODY: readonly unknown[] = [14, 4]

/** Not where somebody answered who does not know the namespace, the key or the certificate: that one may well carry the run. */
function isAway(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'number' && !NOBODY.includes(cause.code)) return false
    if (/certificate|self.signed|\bSSL|\bTLS/i.test(cause.message)) return false
  }
  return true
}

async function requireAway(context: Context): Promise<void> {
  const found = await context.engine().catch((error: unknown) => {
    if (failedWith(error, 'TemporalUnreachable') && isAway(error)) return undefined
    throw error
  })
  if (!found) return
  throw failure('UsageInvalid', `Temporal answers at ${found.address}: leave out --local`, undefined, {
    hint: 'should it be another Temporal than the one the run was started on, stop it',
  })
}
