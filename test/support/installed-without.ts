import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

/** Headgate as it is where packages that it takes only if they are there are not; `dist` must be built. */
export interface Installed {
  /** Runs a module in its folder, and returns what that has printed. */
  run(module: string): Promise<string>
  remove(): void
}

export function installedWithout(...missing: string[]): Installed {
  const folder = mkdtempSync(join(tmpdir(), 'hg-installed-'))
  for (const name of ['dist', 'package.json']) cpSync(name, join(folder, name), { recursive: true })
  mkdirSync(join(folder, 'node_modules'))
  for (const name of readdirSync('node_modules'))
    if (!missing.includes(name)) symlinkSync(resolve('node_modules', name), join(folder, 'node_modules', name))
  return {
    run: async (module) => {
      const words = ['--input-type=module', '--eval', module]
      return (await promisify(execFile)(process.execPath, words, { cwd: folder })).stdout
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
