import { line } from './output-words.js'

interface Trip {
  version: string
  hasDown: boolean
  afterDown: readonly string[]
  afterUp: readonly string[]
  breaks?: string
}

/** One line for each migration, and one for each difference. */
export function roundtripLines(trips: readonly Trip[]): string[] {
  return trips.flatMap(({ version, hasDown, afterDown, afterUp, breaks }) => {
    if (!hasDown) return [`${line(version)}: has no way down`]
    if (afterDown.length + afterUp.length === 0 && breaks === undefined)
      return [`${line(version)}: up, down and up again; nothing differs`]
    return [
      `${line(version)}: ${breaks === undefined ? 'differs' : line(breaks)}`,
      ...afterDown.map((text) => `  after its way down   ${line(text)}`),
      ...afterUp.map((text) => `  applied again        ${line(text)}`),
    ]
  })
}
