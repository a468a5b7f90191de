import { CommanderError } from 'commander'
import { FAILURES, failure, hintOf, type KnownFailure, knownFailure, messageOf } from '../domain/failures.js'
import { plain } from '../domain/text.js'
import { exitOfError } from './exit-code.js'

/** An error in the words of `-o json`. */
export interface ErrorAnswer {
  code: string
  what: string
  why?: string
  changed: string
  consumers: string
  next: string
  evidence?: string
}

/** What a command does that fails before or beside a run. */
const UNTOUCHED = { changed: 'nothing', consumers: 'as they were' }

/** Says what went wrong, once, and returns the exit code. `args` tell whether JSON was asked for. */
export function reportError(error: unknown, args: readonly string[]): number {
  const known = error instanceof CommanderError ? usageFailure(error) : error
  if (isJsonAsked(args)) process.stdout.write(`${JSON.stringify({ error: answerOf(known) })}\n`)
  else process.stderr.write(errorBlock(known))
  if (process.env.HEADGATE_DEBUG === '1') process.stderr.write(`\n${stacksOf(error)}\n`)
  return exitOfError(known)
}

const isJsonAsked = (args: readonly string[]): boolean =>
  args.some(
    (arg, at) => ['-ojson', '--output=json'].includes(arg) || (/^(-o|--output)$/.test(arg) && args[at + 1] === 'json'),
  )

/** commander's words without its prefix: `unknown option '--tga' (Did you mean --tag?)`. */
function usageFailure({ message }: CommanderError): Error {
  const text = message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')
  return failure('UsageInvalid', text === '(outputHelp)' ? 'name a command' : text)
}

export function answerOf(error: unknown): ErrorAnswer {
  const known: KnownFailure = knownFailure(error) ?? { code: 'Unexpected', message: messageOf(error), detail: {} }
  const { code, message: what, detail } = known
  const why = whyOf(error, what)
  const { evidence, changed } = detail
  return {
    code: FAILURES[code].code,
    what: plain(what),
    ...(why === undefined ? {} : { why: plain(why) }),
    ...UNTOUCHED,
    ...(changed === undefined ? {} : { changed: plain(changed) }),
    next: plain(hintOf(known)),
    ...(evidence === undefined ? {} : { evidence: plain(evidence) }),
  }
}

/** The innermost message, where the failure does not repeat it already. Temporal's own words say nothing to a person. */
function whyOf(error: unknown, what: string): string | undefined {
  let innermost: Error | undefined
  for (let at: unknown = error; at instanceof Error; at = at.cause) innermost = at
  if (innermost === undefined || 'syscall' in innermost || /^Workflow|^Service/.test(innermost.name)) return undefined
  const text = innermost.message
  return text === '' || what.includes(text) ? undefined : text
}

/** One block: what, why, what changed, what to do; evidence indented. */
export function errorBlock(error: unknown): string {
  const { code, what, why, changed, next, evidence } = answerOf(error)
  const [first, ...more] = what.split('\n')
  const lines = [
    `error ${code}: ${first}`,
    ...more.map((line) => `            ${line}`),
    ...(why === undefined ? [] : [`  why       ${why}`]),
    `  changed   ${changed}`,
    `  do        ${next}`,
    ...(evidence === undefined || evidence === ''
      ? []
      : [
          '',
          ...evidence
            .trimEnd()
            .split('\n')
            .map((line) => `    ${line}`),
        ]),
  ]
  return `${lines.join('\n')}\n`
}

/** For HEADGATE_DEBUG=1 alone. */
function stacksOf(error: unknown): string {
  const stacks: string[] = []
  for (let at: unknown = error; at instanceof Error; at = at.cause) stacks.push(plain(at.stack ?? at.message))
  return stacks.join('\ncaused by ')
}
