import { appendFileSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { FaultedRun, Strike } from './faulted-run.js'

const FILE = fileURLToPath(new URL('log.jsonl', import.meta.url))

/** One faulted run, as it is kept in the repository. */
export interface Logged {
  /** The day. */
  on: string
  course: string
  /** Of the nemesis; a sweep has none. */
  seed?: number
  strikes: Strike[]
  struck: number
  outcomes: string[]
  violations: string[]
  /** Of violations: what was wrong, once that was known. */
  explained?: string
}

export function log(course: string, run: FaultedRun, seed?: number): void {
  const line: Logged = {
    ...{ on: new Date().toISOString().slice(0, 10), course },
    ...(seed === undefined ? {} : { seed }),
    strikes: run.strikes.map((strike) => ({ ...strike, afterMs: Math.round(strike.afterMs) })),
    ...{ struck: run.struck, outcomes: run.outcomes, violations: run.violations },
  }
  appendFileSync(FILE, `${JSON.stringify(line)}\n`)
}

export const logged = (): Logged[] =>
  readFileSync(FILE, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line): Logged => JSON.parse(line))
