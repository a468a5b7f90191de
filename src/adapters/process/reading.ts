import type { Readable } from 'node:stream'
import type { LogFile } from './log-file.js'
import { Output } from './output.js'

/** How long a pipe may be silent after the group's end: a process that has left the group may hold it open for ever. */
const SILENT_MS = 300
const DRAINS = 20

export interface Listeners {
  onLine?: ((line: string) => void) | undefined
  onAnswer?: ((line: string) => void) | undefined
}

/** Reads both outputs as fast as the log takes them. */
export class Reading {
  readonly #streams: Readable[]
  readonly #stdout: Output
  readonly #stderr: Output
  readonly #done: Promise<unknown>
  #chunks = 0

  constructor(
    from: { stdout: Readable; stderr: Readable },
    secrets: readonly string[],
    log: LogFile,
    listeners: Listeners,
  ) {
    this.#streams = [from.stdout, from.stderr]
    this.#stdout = new Output(secrets)
    this.#stderr = new Output(secrets)
    this.#done = Promise.all([
      this.#read(from.stdout, this.#stdout, log, listeners),
      this.#read(from.stderr, this.#stderr, log, { onLine: listeners.onLine }),
    ])
  }

  /** Waits for the rest of the output of a group that has ended. */
  async end(): Promise<{ stdout: string; stderr: string }> {
    for (let round = 0, before = -1; before !== this.#chunks && round < DRAINS; round++) {
      before = this.#chunks
      if (await settlesWithin(this.#done, SILENT_MS)) break
    }
    for (const stream of this.#streams) stream.destroy()
    await this.#done
    return { stdout: this.#stdout.tail(), stderr: this.#stderr.tail() }
  }

  async #read(stream: Readable, output: Output, log: LogFile, listeners: Listeners): Promise<void> {
    try {
      for await (const chunk of stream) {
        this.#chunks++
        await pass(output.take(chunk), log, listeners)
      }
    } catch {
      // Destroyed, or cut off with the program: what came until then counts.
    }
    await pass(output.end(), log, listeners)
  }
}

async function pass(
  { raw, shown }: { raw: string[]; shown: string[] },
  log: LogFile,
  listeners: Listeners,
): Promise<void> {
  if (shown.length === 0) return
  for (const line of raw) listeners.onAnswer?.(line)
  for (const line of shown) listeners.onLine?.(line)
  await log.write(`${shown.join('\n')}\n`)
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  return Promise.race([promise.then(() => true), late]).finally(() => clearTimeout(timer))
}
