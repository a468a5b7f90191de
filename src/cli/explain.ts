import type { Command } from 'commander'
import { FAILURES, type FailureCode, failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import { nearest } from '../domain/text.js'
import type { Context } from './context.js'
import { explanationAnswer, explanationLines, explanationList } from './output-explain.js'

export function define(command: Command): void {
  command
    .description('What an error code means, whether it is tried again, and what to do. All of them without a code.')
    .argument('[code]', 'like E204')
}

export async function run({ terminal }: Context, command: Command): Promise<number> {
  const [asked] = command.args
  if (asked === undefined) {
    for (const text of explanationList()) terminal.say(text)
    terminal.answer({ schema: 'headgate/explain/1', codes: NAMES.map(explanationAnswer) })
    return EXIT.done
  }
  const name = nameOf(asked)
  for (const text of explanationLines(name)) terminal.say(text)
  terminal.answer({ schema: 'headgate/explain/1', ...explanationAnswer(name) })
  return EXIT.done
}

const isName = (name: string): name is FailureCode => Object.hasOwn(FAILURES, name)
const NAMES = Object.keys(FAILURES).filter(isName)

/** By its code or its name, in any case. */
function nameOf(asked: string): FailureCode {
  const found = NAMES.find((name) =>
    [name.toLowerCase(), FAILURES[name].code.toLowerCase()].includes(asked.toLowerCase()),
  )
  if (found) return found
  const meant = nearest(asked, [...NAMES, ...NAMES.map((name) => FAILURES[name].code)])
  throw failure(
    'UsageInvalid',
    `no error code ${JSON.stringify(asked.slice(0, 40))}${meant ? `, did you mean ${meant}?` : ''}`,
  )
}
