import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Violation } from '../checker/invariants.js'
import type { Scene } from '../checker/scene.js'

const CHECKER = fileURLToPath(new URL('../../node_modules/.cache/headgate-checker/main.js', import.meta.url))
const command = (...args: string[]): string[] => [CHECKER, ...args]

export interface Judgement {
  outcome: string
  violations: Violation[]
}

/** The checker, as the program it is: looks before, looks on, and judges. */
export class Watching {
  readonly #folder: string
  readonly #watch: ChildProcess

  private constructor(folder: string, watch: ChildProcess) {
    this.#folder = folder
    this.#watch = watch
  }

  /** `folder` holds `scene.json`, and gets what the checker writes. */
  static async begin(folder: string): Promise<Watching> {
    const file = (name: string): string => join(folder, name)
    await run(command('before', file('scene.json'), file('before.json')))
    const watch = spawn(process.execPath, command('watch', file('scene.json'), file('watched.json')), {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(watch.stdout, 'data')
    return new Watching(folder, watch)
  }

  /** Ends the watch. Twice is once. */
  async end(): Promise<void> {
    if (this.#watch.exitCode !== null || this.#watch.signalCode !== null) return
    const gone = once(this.#watch, 'exit')
    this.#watch.kill('SIGTERM')
    await gone
  }

  async judge(): Promise<Judgement> {
    await this.end()
    const file = (name: string): string => join(this.#folder, name)
    return JSON.parse(await run(command('judge', file('scene.json'), file('before.json'), file('watched.json'))))
  }

  async scene(): Promise<Scene> {
    return JSON.parse(await readFile(join(this.#folder, 'scene.json'), 'utf8'))
  }
}

/** What it printed; exit 1 with an answer is one. */
const run = (args: string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(process.execPath, args, { maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      if (!error || (error.code === 1 && stdout !== '')) resolve(stdout)
      else reject(new Error(`the checker: ${stderr || error.message}`))
    })
  })
