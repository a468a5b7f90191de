import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type ChildSettings, libpqEnvironment, type Target } from '../../src/adapters/postgres/target.js'
import { serverBinaries } from './server-binaries.js'

/** Runs one of PostgreSQL's programs against the target; rejects with its standard error. */
export async function postgresProgram(
  name: string,
  args: string[],
  target: Target,
  settings: ChildSettings = { applicationName: 'test program', options: {} },
): Promise<string> {
  const env = libpqEnvironment(target, settings)
  const program = join(await serverBinaries(), name)
  return (await promisify(execFile)(program, args, { env: { ...process.env, ...env } })).stdout
}
