import type { TestProject } from 'vitest/node'
import { startPostgres } from './postgres-server.js'

declare module 'vitest' {
  export interface ProvidedContext {
    /** One for each file that runs beside another: transaction ids are the cluster's, and what is proven by them would fail beside others. */
    postgresPorts: number[]
  }
}

/** The PostgreSQL servers of the whole run of vitest. */
export default async function globalPostgres(project: TestProject): Promise<() => Promise<void>> {
  const servers = await Promise.all(Array.from({ length: project.vitest.config.maxWorkers }, () => startPostgres()))
  project.provide(
    'postgresPorts',
    servers.map(({ port }) => port),
  )
  return async () => void (await Promise.all(servers.map(({ stop }) => stop())))
}
