import type { TestProject } from 'vitest/node'
import { startPostgres } from './postgres-server.js'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresPort: number
  }
}

/** One PostgreSQL for the whole run of vitest. */
export default async function globalPostgres(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres()
  project.provide('postgresPort', server.port)
  return server.stop
}
