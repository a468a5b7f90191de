import { FAILURES, type FailureCode } from '../domain/failures.js'
import { meaningOf } from '../domain/failures-reference.js'
import { table } from './output-words.js'

const CAUSES = { guard: 'a guard', person: 'a person', fault: 'a fault' } as const

export function explanationLines(name: FailureCode): string[] {
  const { code, retryable, cause, hint } = FAILURES[name]
  return [
    `${code} ${name}`,
    `  means    ${meaningOf(name)}`,
    `  cause    ${CAUSES[cause]}`,
    `  again    ${retryable ? 'the step is tried again by itself' : 'not tried again by itself'}`,
    `  do       ${hint}`,
  ]
}

export const explanationAnswer = (name: FailureCode): object => {
  const { code, retryable, cause, hint } = FAILURES[name]
  return { code, name, means: meaningOf(name), cause, retryable, next: hint }
}

export function explanationList(): string[] {
  const rows = Object.entries(FAILURES).map(([name, { code, hint }]) => [code, name, hint])
  return [...table([['CODE', 'NAME', 'DO'], ...rows]), 'next  headgate explain CODE']
}
