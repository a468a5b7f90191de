import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Output } from '../../../src/adapters/process/output.js'

const SECRET = 'c4nary/Pw+9'
const MIB = 1_048_576

/** The bytes in the chunks that a pipe happened to cut them into. */
const chunks = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, n) => bytes.slice(from, at[n] ?? bytes.length))
}

function linesOf(all: readonly Uint8Array[]): { raw: string[]; shown: string[] } {
  const output = new Output([SECRET])
  const taken = [...all.map((chunk) => output.take(chunk)), output.end()]
  return { raw: taken.flatMap(({ raw }) => raw), shown: taken.flatMap(({ shown }) => shown) }
}

const cuts = fc.array(fc.nat(), { maxLength: 8 })
const piece = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(SECRET, '\n', '\x1b[2J', '\x07', '\0', 'é', '🛶', ' '),
)

test('lines are the same, however the bytes of a program come', () => {
  fc.assert(
    fc.property(fc.array(piece), cuts, (pieces, where) => {
      const bytes = new TextEncoder().encode(pieces.join(''))
      expect(linesOf(chunks(bytes, where))).toEqual(linesOf([bytes]))
    }),
  )
})

test('no secret and no control character is shown, however the bytes come, text or not', () => {
  fc.assert(
    fc.property(fc.array(piece), fc.uint8Array({ maxLength: 20 }), cuts, (pieces, noise, where) => {
      const bytes = new Uint8Array([...new TextEncoder().encode(pieces.join('')), ...noise])
      const shown = linesOf(chunks(bytes, where)).shown.join('\n')
      expect(shown).not.toContain(SECRET)
      expect(shown).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/)
    }),
  )
})

test('a hundred megabytes are kept to a little, without a newline too, and a secret on a seam is not shown', () => {
  const output = new Output([SECRET])
  const text = new TextEncoder()
  const half = text.encode(`${'x'.repeat(64 * 1024)}${SECRET.slice(0, 5)}`)
  const other = text.encode(`${SECRET.slice(5)}${'y'.repeat(64 * 1024)}`)
  const lines = text.encode(`${'z'.repeat(63)}\n`.repeat(2_000))
  let seen = ''
  const printed = (): void => {
    for (let n = 0; n < 400; n++)
      for (const chunk of [half, other]) seen = (seen + output.take(chunk).shown.join('')).slice(-2 * MIB)
    for (let n = 0; n < 400; n++) output.take(lines)
  }
  printed()
  expect(seen).not.toContain(SECRET)
  const { rss } = process.memoryUsage()
  printed()
  expect(process.memoryUsage().rss - rss).toBeLessThan(100 * MIB)
  expect(output.tail().length).toBeLessThanOrEqual(8 * 1024)
})
