import type { z } from 'zod'
import { type JsonSchema, keysAt } from '../../domain/configuration-schema.js'
import { nearest } from '../../domain/text.js'
import { type Problem, quoted } from './problem.js'
import { variableFor } from './secrets.js'
import { holdsReference } from './template.js'
import { findWritten, isWrittenMap, pathTo, plainValue, type Written } from './written.js'

type Issue = z.core.$ZodIssue

const ENVIRONMENT_URL = /^environments\.[^.]+\.url$/

const KINDS: Record<string, string> = {
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  null: 'null',
}
const kind = (expected: string): string => KINDS[expected] ?? expected
const eitherOf = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
const list = (values: readonly unknown[]): string => eitherOf(values.map((value) => JSON.stringify(value)))

/** What zod found, said for who wrote the file: what, where, what to do. Values are never repeated. */
export function explainIssues(issues: readonly Issue[], root: Written, schema: JsonSchema): Problem[] {
  return flattened(issues, root).flatMap((issue) => {
    const { found, missing } = findWritten(root, issue.path)
    return explain(issue, found, missing, root, schema)
  })
}

/** Without what only tells that a reference fits no pattern before it is resolved; a number or a list it can never become. */
export function withoutReferences(issues: readonly Issue[], root: Written): Issue[] {
  return flattened(issues, root).filter(({ code, path }) => {
    const { value } = findWritten(root, path).found
    return code === 'invalid_type' || typeof value !== 'string' || !holdsReference(value)
  })
}

const flattened = (issues: readonly Issue[], root: Written): Issue[] =>
  issues.flatMap((issue) => (issue.code === 'invalid_union' ? ofAlternatives(issue, root) : [issue]))

/** The issues of the alternative that was meant. Where that cannot be told the issue stays as it is. */
function ofAlternatives(issue: Extract<Issue, { code: 'invalid_union' }>, root: Written): Issue[] {
  const { found, missing } = findWritten(root, issue.path)
  if (missing.length > 0 || !isWrittenMap(found)) return [issue]
  const meant = issue.errors.filter((branch) =>
    branch.some((at) => at.path.length > 0 || at.code === 'unrecognized_keys'),
  )
  const [closest] = meant.toSorted((one, other) => strangenessOf(one) - strangenessOf(other))
  return (closest ?? []).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }))
}

/** How little of what is written an alternative knows. */
const strangenessOf = (branch: readonly Issue[]): number =>
  branch.reduce((sum, at) => sum + (at.code === 'unrecognized_keys' ? 2 * at.keys.length : 1), 0)

function explain(issue: Issue, found: Written, missing: PropertyKey[], root: Written, schema: JsonSchema): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(key, found, keysAt(schema, plainValue(root), issue.path)))
  }
  const [key] = missing
  if (key !== undefined) {
    return [
      { at: found.key, text: `${pathTo(found.path, key)} is missing${whatIsMissing(issue, pathTo(found.path, key))}` },
    ]
  }
  if (issue.code === 'invalid_key') {
    return [{ at: found.key, text: `${found.path} is not named right: ${issue.issues[0]?.message ?? issue.message}` }]
  }
  return [{ at: found.at, text: `${found.path} ${whatIsWrong(issue, found)}` }]
}

/** `candidates`: what may stand there. */
export function unknownKey(key: string, parent: Written, candidates: readonly string[]): Problem {
  const entry = isWrittenMap(parent) ? parent.value.get(key) : undefined
  const meant = nearest(key, candidates)
  const known = candidates.length > 0 && candidates.length <= 8 ? `; known: ${candidates.join(', ')}` : ''
  return {
    at: entry?.key ?? parent.key,
    text: `unknown key ${quoted(key)} ${placeName(entry, key, parent)}${meant ? `, did you mean ${quoted(meant)}?` : known}`,
  }
}

/** A key that an environment inherits from the top is told by where it stands. */
function placeName(entry: Written | undefined, key: string, parent: Written): string {
  const path = entry === undefined ? parent.path : entry.path.slice(0, -key.length).replace(/\.$/, '')
  return path === '' ? 'at the top of the file' : `in ${path}`
}

function whatIsMissing(issue: Issue, path: string): string {
  if (ENVIRONMENT_URL.test(path)) return `: write \${env:${variableFor(path)}}`
  if (issue.code === 'invalid_union') return kindsOf(issue).length > 0 ? `: write one of ${list(kindsOf(issue))}` : ''
  return issue.code === 'invalid_type' ? `: it is ${kind(issue.expected)}` : ''
}

function whatIsWrong(issue: Issue, found: Written): string {
  switch (issue.code) {
    case 'invalid_type':
      if (!issue.message.startsWith('Invalid input')) return `is not right: ${issue.message}`
      return `must be ${kind(issue.expected)}${howToQuote(issue.expected, found)}`
    case 'invalid_value':
      return `must be ${list(issue.values)}${meant(issue.values, found)}`
    case 'invalid_union': {
      const kinds = kindsOf(issue)
      return kinds.length > 0
        ? `must be ${list(kinds)}${meant(kinds, found)}`
        : `must be ${anyOf(issue.errors)}${meant(valuesOf(issue.errors), found)}`
    }
    case 'too_small':
      return issue.origin === 'number' || issue.origin === 'int' ? `must be at least ${issue.minimum}` : 'is empty'
    case 'too_big':
      return `must be at most ${issue.maximum}`
    default:
      return `is not right: ${issue.message}`
  }
}

/** What a discriminated union knows; its type does not tell. */
const kindsOf = (issue: Issue): unknown[] => ('options' in issue && Array.isArray(issue.options) ? issue.options : [])

function meant(values: readonly unknown[], { value }: Written): string {
  const words = values.filter((candidate) => typeof candidate === 'string')
  const word = typeof value === 'string' ? nearest(value, words) : undefined
  return word === undefined ? '' : `, did you mean ${quoted(word)}?`
}

const valuesOf = (errors: readonly (readonly Issue[])[]): unknown[] =>
  errors.flatMap(([first]) => (first?.code === 'invalid_value' ? first.values : []))

const anyOf = (errors: readonly (readonly Issue[])[]): string =>
  eitherOf(
    errors.flatMap(([first]) => {
      if (first?.code === 'invalid_value') return first.values.map((value) => JSON.stringify(value))
      return first?.code === 'invalid_type' ? [kind(first.expected)] : []
    }),
  )

/** `1.10`, `true` and `{tag}` (a mapping to nothing) are no text until they are quoted. */
function howToQuote(expected: string, { value }: Written): string {
  const isBare = typeof value === 'number' || typeof value === 'boolean' || (value instanceof Map && value.size <= 1)
  return expected === 'string' && isBare ? ': put it in quotes' : ''
}
