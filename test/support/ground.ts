import { inject } from 'vitest'
import { besideOthers } from './pool.js'

/** The servers that a file of tests stands on. */
export interface Ground {
  postgresPort: number
  /** `127.0.0.1:7233`. */
  temporal: string
}

let own: Ground | undefined

/** From here on this file stands on servers of its own, which it may kill. */
export function standOn(ground: Ground): void {
  own = ground
}

/** Of the PostgreSQL server: the file's own, or that of this run of vitest. */
export const postgresPort = (): number => own?.postgresPort ?? inject('postgresPorts')[besideOthers()] ?? 0

/** Of the Temporal server: the file's own, or the one of those files of this run of vitest that run one after the other; started when the first test asks. */
export async function temporalAddress(): Promise<string> {
  if (own) return own.temporal
  const answer = await fetch(`${inject('temporalAt')}/${besideOthers()}`)
  const text = await answer.text()
  if (!answer.ok) throw new Error(`no Temporal server: ${text}`)
  return text
}
