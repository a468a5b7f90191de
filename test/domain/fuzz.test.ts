import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DecisionMessage, SteeringMessage } from '../../src/domain/approval.js'
import { excerpt } from '../../src/domain/excerpt.js'
import { Manifest } from '../../src/domain/manifest.js'
import { Name, RunName, Tag } from '../../src/domain/names.js'
import { RunInput } from '../../src/domain/run.js'
import { jsonIn, plain, redact, tail } from '../../src/domain/text.js'

/** Bytes of a program that prints what it likes: control characters, half characters, escapes. */
const printed = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '\x1b]0;title\x07',
        '\x1b[31m',
        '\x9b2J',
        '\r',
        '\0',
        '\u202e',
        '\ud83d',
        'postgres://u:p@h/d',
        'PGPASSWORD=x',
        '\n',
      ),
    ),
    { maxLength: 20 },
  )
  .map((parts) => parts.join(''))
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/

test('what is shown has no control characters, whatever was printed', () => {
  fc.assert(
    fc.property(printed, (text) => {
      expect(plain(text)).not.toMatch(CONTROLS)
      expect(plain(text)).not.toMatch(/\p{Surrogate}/u)
      expect(excerpt(text)).not.toMatch(CONTROLS)
      expect([...excerpt(text)].length).toBeLessThanOrEqual(200)
    }),
    { numRuns: 2_000 },
  )
})

test('bytes that are no text are shown all the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void expect(plain(bytes)).not.toMatch(CONTROLS)),
    {
      numRuns: 1_000,
    },
  )
})

test('a secret is never left over, wherever it stands and whatever it is made of', () => {
  fc.assert(
    fc.property(
      printed,
      fc.string({ minLength: 4, maxLength: 40 }).filter((secret) => !'***'.includes(secret) && !secret.includes('*')),
      printed,
      (before, secret, after) => {
        expect(redact(`${before}${secret}${after}`, [secret])).not.toContain(secret)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('the end of a text is bounded, and never half a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.integer({ min: -5, max: 100 }), (text, bytes) => {
      const end = tail(text, bytes)
      expect(new TextEncoder().encode(end).length).toBeLessThanOrEqual(Math.max(0, bytes))
    }),
    { numRuns: 2_000 },
  )
})

test('what a program printed is JSON or nothing', () => {
  fc.assert(
    fc.property(printed, fc.jsonValue(), (said, value) => {
      expect(() => jsonIn(said)).not.toThrow()
      expect(jsonIn(`${said.replaceAll('\n', ' ')}\n${JSON.stringify(value)}\n`)).toEqual(
        JSON.parse(JSON.stringify(value)),
      )
    }),
    { numRuns: 1_000 },
  )
})

test('a message is one of ours or is refused, and refusing never throws', () => {
  const anything = fc.oneof(
    fc.anything({ withNullPrototype: true, withDate: true, withMap: true, withBigInt: true }),
    fc.record({ by: fc.anything(), digest: fc.anything(), reason: fc.anything() }, { requiredKeys: [] }),
  )
  fc.assert(
    fc.property(anything, (message) => {
      for (const shape of [DecisionMessage, SteeringMessage, RunInput, Manifest]) {
        const parsed = shape.safeParse(message)
        if (parsed.success) expect(Object.keys(parsed.data).every((key) => key in shape.shape)).toBe(true)
      }
    }),
    { numRuns: 2_000 },
  )
})

test.each([
  ['a name', Name],
  ['a tag', Tag],
  ['a run', RunName],
])('%s is safe as an argument, a file name and an identifier', (_, grammar) => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constantFrom(
      'a;touch /x',
      '$(id)',
      '`id`',
      '-v/:/host',
      '--help',
      'x\ny',
      '../../etc',
      'a\0b',
      '.hidden',
      'a/b',
      'x'.repeat(10_000),
      'a b',
      '"',
      "'",
    ),
  )
  fc.assert(
    fc.property(hostile, (text) => {
      if (grammar.safeParse(text).success) expect(text).toMatch(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/)
    }),
    { numRuns: 2_000 },
  )
})
