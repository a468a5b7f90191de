import { createServer } from 'node:net'
import { failure, knownFailure } from '../../domain/failures.js'

const TRIES = 3

/** A TCP port of 127.0.0.1 that nobody listens on now. Somebody else may be quicker: see `onPort`. */
export const freePort = (): Promise<number> => listenOnce(0)

/**
 * Starts a server on `wanted`, else on a free port; a free port that was taken meanwhile is replaced by another. Throws
 * `GuardFailed` when somebody listens on `wanted`: they might be taken for the server.
 */
export async function onPort<T>(wanted: number | undefined, start: (port: number) => Promise<T>): Promise<T> {
  if (wanted !== undefined) return start(await listenOnce(wanted))
  for (let left = TRIES; ; left--) {
    try {
      return await start(await freePort())
    } catch (error) {
      const evidence = knownFailure(error)?.detail.evidence ?? ''
      if (left <= 1 || !/address already in use|could not bind|can't bind/i.test(evidence)) throw error
    }
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => reject(failure('GuardFailed', `port ${port} of 127.0.0.1 cannot be used`, error)))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      const given = typeof address === 'object' ? address?.port : undefined
      server.close(() => resolve(given ?? port))
    })
  })
}
