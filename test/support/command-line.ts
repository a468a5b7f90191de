import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './http-server.js'
import type { World } from './world.js'

const HEADGATE = fileURLToPath(new URL('../../bin/headgate.js', import.meta.url))

export interface Answer {
  exit: number | null
  stdout: string
  stderr: string
  /** Both, as a person sees them. */
  text: string
}

/** What a user's shell has: no variable of a database, nothing of this process's own. */
const SHELL = { PATH: process.env.PATH ?? '', LANG: 'C.UTF-8', NO_COLOR: '1' }

/** Types `headgate …` in a folder, without a terminal, and waits for its end. */
export async function headgate(args: readonly string[], cwd: string, env: Record<string, string>): Promise<Answer> {
  const child = spawn(process.execPath, [HEADGATE, ...args], {
    cwd,
    env: { ...SHELL, HOME: cwd, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const answer = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => {
    answer.stdout += String(data)
  })
  child.stderr.on('data', (data) => {
    answer.stderr += String(data)
  })
  const [exit] = await once(child, 'close')
  return { ...answer, exit, text: answer.stdout + answer.stderr }
}

/** A person at the command line of a world, in a folder of their own, far from the worker. */
export class Person {
  /** Everything they were shown, for a look at what must not be in it. */
  seen = ''
  readonly #world: World
  readonly #folder: string
  readonly #env: Record<string, string>

  constructor(world: World, folder: string, name: string, env: Record<string, string> = {}) {
    this.#world = world
    this.#folder = folder
    this.#env = { TEMPORAL_ADDRESS: world.address, HEADGATE_USER: name, ...env }
  }

  async types(...args: string[]): Promise<Answer> {
    return this.typesIn(this.#folder, {}, ...args, '--project', this.#world.project)
  }

  /** In another folder, and without `--project`. */
  async typesIn(folder: string, env: Record<string, string>, ...args: string[]): Promise<Answer> {
    const answer = await headgate(args, folder, { ...this.#env, ...env })
    this.seen += `$ headgate ${args.join(' ')}\n${answer.text}`
    return answer
  }
}

export interface Started {
  /** Both outputs so far. */
  readonly text: () => string
  /** Tells it to stop and waits for its end; its exit code. */
  stop: (signal?: 'SIGINT' | 'SIGTERM') => Promise<number | null>
}

/** Starts a `headgate …` that stays. */
export function startHeadgate(args: readonly string[], cwd: string, env: Record<string, string>): Started {
  const child = spawn(process.execPath, [HEADGATE, ...args], {
    cwd,
    env: { ...SHELL, HOME: cwd, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  const add = (data: unknown): void => {
    text += String(data)
  }
  child.stdout.on('data', add)
  child.stderr.on('data', add)
  return {
    text: () => text,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      const ended = once(child, 'close')
      child.kill(signal)
      await ended
      return child.exitCode
    },
  }
}

/** Starts a worker of the folder, which is ready when this returns. Throws what it said where it is not after a minute. */
export async function startReadyWorker(cwd: string, env: Record<string, string>): Promise<Started> {
  const health = `127.0.0.1:${await freePort()}`
  const worker = startHeadgate(['worker', '--health', health], cwd, env)
  const status = (): Promise<number | undefined> =>
    fetch(`http://${health}/readyz`).then(
      (answer) => answer.status,
      () => undefined,
    )
  for (const begun = performance.now(); (await status()) !== 200; await pause(50))
    if (performance.now() - begun > 60_000) throw new Error(`the worker is not ready: ${worker.text()}`)
  return worker
}
