import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { cacheFolder, findTemporal } from '../../src/adapters/process/provision.js'
import { startTemporal, type TemporalServer } from '../../src/adapters/process/temporal-server.js'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Answers with the address of the Temporal server, which is started when the first test asks. */
    temporalAt: string
  }
}

/** A Temporal for each file that runs beside another, for those that need one: tests of pure code do not wait for it. */
export default async function globalTemporal(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-temporal-'))
  const started = new Map<string, Promise<TemporalServer>>()
  let found: Promise<string> | undefined
  const start = async (place: string): Promise<TemporalServer> => {
    found ??= findTemporal(cacheFolder(), (doing) => console.log(`temporal: ${doing}`))
    return startTemporal({
      executable: await found,
      logFile: join(folder, `server${place.replace('/', '-')}.log`),
      headless: true,
    })
  }

  const starter = createServer(({ url = '' }, response) => {
    const starting = started.get(url) ?? start(url)
    started.set(url, starting)
    starting.then(
      (server) => response.end(server.address),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  await new Promise<void>((resolve) => starter.listen(0, '127.0.0.1', resolve))
  const address = starter.address()
  project.provide('temporalAt', `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`)

  return async () => {
    starter.closeAllConnections()
    starter.close()
    for (const starting of started.values()) await (await starting.catch(() => undefined))?.kill()
    await rm(folder, { recursive: true, force: true })
  }
}
