import type { Roundtrip } from '../worker/roundtrip.js'
import { line } from './output-words.js'

/** It has a way down, goes there and back, and nothing differs. */
export const isRight = ({ hasDown, afterDown, afterUp, breaks, untried }: Roundtrip): boolean =>
  hasDown && breaks === undefined && untried === undefined && afterDown.length + afterUp.length === 0

/** One line for each migration, and one for each difference. */
export function roundtripLines(trips: readonly Roundtrip[]): string[] {
  return trips.flatMap((trip) => {
    const { version, hasDown, afterDown, afterUp, breaks, untried } = trip
    if (!hasDown) return [`${line(version)}: has no way down`]
    if (untried !== undefined) return [`${line(version)}: not tried: ${line(untried)}`]
    if (isRight(trip)) return [`${line(version)}: up, down and up again; nothing differs`]
    return [
      `${line(version)}: ${breaks === undefined ? 'differs' : line(breaks)}`,
      ...afterDown.map((text) => `  after its way down   ${line(text)}`),
      ...afterUp.map((text) => `  applied again        ${line(text)}`),
    ]
  })
}
