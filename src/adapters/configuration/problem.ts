import type { ApplicationFailure } from '@temporalio/common'
import { type FailureCode, failure } from '../../domain/failures.js'
import { plain, redact } from '../../domain/text.js'
import type { Place } from './written.js'

/** One thing that is wrong, and where. Its text never holds a value of the file, only keys. */
export interface Problem {
  at?: Place | undefined
  text: string
}

/** More than a person reads at once; they are fixed from the top anyway. */
const MOST_SHOWN = 40

/** A name that somebody typed, in quotes: cut, printable, and not a password in the wrong place. */
export const quoted = (name: string): string => JSON.stringify(redact(plain(name)).slice(0, 60))

const byPlace = (a: Problem, b: Problem): number =>
  (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0)

/** All problems as one failure, a line each, in the order of the file: `headgate.yaml:7:5: …`. */
export function problemsFailure(code: FailureCode, file: string, problems: readonly Problem[]): ApplicationFailure {
  const lines = [...problems]
    .sort(byPlace)
    .map(({ at, text }) => `${at ? `${file}:${at.line}:${at.column}` : file}: ${text}`)
  const unique = [...new Set(lines)]
  const shown = unique.slice(0, MOST_SHOWN)
  if (unique.length > shown.length) shown.push(`${file}: and ${unique.length - shown.length} more problems`)
  return failure(code, shown.join('\n'))
}
