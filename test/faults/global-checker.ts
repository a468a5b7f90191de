import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Compiles the checker once: it is started three times for each run. */
export default async function globalChecker(): Promise<void> {
  const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
  const tsc = file('../../node_modules/typescript/bin/tsc')
  await promisify(execFile)(process.execPath, [tsc, '-p', file('../checker/tsconfig.json')])
}
