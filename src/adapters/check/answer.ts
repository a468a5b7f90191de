import { jsonpath } from 'json-p3'
import type { Expectation } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { messageOf } from '../../domain/failures.js'
import { jsonIn } from '../../domain/text.js'

/** What stands at a JSON path (RFC 9535) of an answer: the first value; undefined where there is none. Throws with what is wrong. */
export function valueAt(path: string, body: string): unknown {
  const value = jsonIn(body)
  if (value === undefined) throw new Error('the answer is not JSON')
  try {
    return jsonpath.query(path, value as Parameters<typeof jsonpath.query>[1]).values()[0]
  } catch (error) {
    throw new Error(`the path ${path} cannot be followed: ${messageOf(error)}`)
  }
}

/** Whether a value is what it must be; what is shown of it is one line, without secrets. */
export function judgeValue(
  value: unknown,
  { expect, min, max }: Expectation,
  secrets: readonly string[],
): { ok: boolean; found: string } {
  if (value === undefined) return { ok: false, found: 'nothing is there' }
  const shown = excerpt(typeof value === 'string' ? value : JSON.stringify(value), secrets) || 'an empty text'
  const wanted = [
    ...(expect === undefined ? [] : [`expected ${excerpt(String(expect), secrets)}`]),
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ].join(', ')
  const number = typeof value === 'number' || (typeof value === 'string' && value.trim() !== '') ? Number(value) : NaN
  const ok =
    (expect === undefined || isSame(value, expect, number)) &&
    (min === undefined || number >= min) &&
    (max === undefined || number <= max)
  return { ok, found: ok ? shown : `${shown}, ${wanted}` }
}

/** As text; a number also as a number. */
function isSame(value: unknown, expected: string | number | boolean | null, number: number): boolean {
  if (value === null || expected === null) return value === expected
  if (typeof value === 'object') return false
  return String(value) === String(expected) || (typeof expected === 'number' && number === expected)
}
