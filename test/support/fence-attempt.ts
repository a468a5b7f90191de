import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Target } from '../../src/adapters/postgres/target.js'

const SCRIPT = fileURLToPath(new URL('./fence-process.mjs', import.meta.url))

export interface AttemptOptions {
  journal: Target
  schema: string
  target: Target
  resource: string
  run?: string
  step?: string
  /** Freezes itself there. */
  freeze?: { key: string; where: 'before' | 'sent' }
  /** How long its effect lasts. */
  holdMs?: number
  /** Runs this program under the fence instead of adding a column. */
  tool?: readonly string[]
  /** In a container of this image. */
  image?: string
}

interface AttemptEvent {
  event: 'await' | 'progress' | 'held' | 'acting' | 'done' | 'failed'
  key?: string
  epoch?: number
  did?: unknown
  code?: string
  message?: string
  text?: string
}

/** One attempt in a process of its own, that can be frozen, woken and killed. */
export class Attempt {
  readonly child: ChildProcess
  readonly events: AttemptEvent[] = []
  errors = ''
  readonly #exited: Promise<unknown>

  constructor(options: AttemptOptions) {
    const child = spawn(process.execPath, [SCRIPT, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line)))
    child.stderr.on('data', (data) => {
      this.errors += String(data)
    })
    this.#exited = once(child, 'close')
  }

  get isFrozen(): boolean {
    const stat = readFileSync(`/proc/${this.child.pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
  }

  freeze(): void {
    this.child.kill('SIGSTOP')
  }

  wake(): void {
    this.child.kill('SIGCONT')
  }

  async frozen(): Promise<void> {
    while (!this.isFrozen) await this.#next('freezes')
  }

  async until(event: AttemptEvent['event']): Promise<AttemptEvent> {
    for (;;) {
      const found = this.events.find((one) => one.event === event)
      if (found) return found
      await this.#next(`says ${event}`)
    }
  }

  /** How it ended, once the process is gone: what runs beside the step may ask for something after that. */
  async ended(): Promise<AttemptEvent | undefined> {
    await this.#exited
    return this.events.findLast(({ event }) => event === 'done' || event === 'failed') ?? this.events.at(-1)
  }

  async kill(): Promise<void> {
    this.wake()
    this.child.kill('SIGKILL')
    await this.#exited
  }

  async #next(what: string): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) {
      await this.#exited
      throw new Error(`it ended before it ${what}: ${JSON.stringify(this.events.at(-1))} ${this.errors}`)
    }
    await pause(5)
  }
}
