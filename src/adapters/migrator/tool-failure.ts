import { failure, knownFailure } from '../../domain/failures.js'
import { tail } from '../../domain/text.js'
import type { ProgramResult } from '../process/run.js'
import type { ToolRun } from './port.js'

/** How tools and drivers print SQLSTATE 55P03. Only text: whether nothing changed is for the step above to prove. */
const LOCK = /\b55P03\b|lock timeout|LockNotAvailable|lock_not_available|could not obtain lock/i
const KILLED = 128
/** Lines that only say where to read on, or hold the statement's parameters. */
const NOISE = /^\(Background on this error|^\[SQL: |^\[parameters: |^\s*$|^\s+\^?\s*$|^LINE \d+:|^\s*\^/

/** What a tool did; throws `MigrationBlocked` or `MigrationFailed` in its own words when it failed. */
export function toolRun(name: string, result: ProgramResult): ToolRun {
  const tail = [result.stdout, result.stderr]
    .filter((text) => text.trim() !== '')
    .join('\n')
    .slice(-8_192)
  if (result.exitCode === 0) return { log: result.log ?? '', tail }
  if (LOCK.test(tail))
    throw failure('MigrationBlocked', `${name}: ${lastWords(tail, LOCK)}`, undefined, { evidence: tail })
  const how = result.exitCode > KILLED ? `was ended by signal ${result.exitCode - KILLED}` : `exit ${result.exitCode}`
  throw failure('MigrationFailed', `${name} (${how}): ${lastWords(result.stderr || result.stdout)}`, undefined, {
    evidence: tail,
  })
}

/** Of evidence, what the call that failed leaves to those before it; both together are as long as one alone. */
const EARLIER = 2_048
const FAILED = 6_144

/** One call of a tool for each part, in order; the last one counts. Where one fails, its evidence begins with the ends of what those before it said. */
export async function callEach<Part>(
  parts: readonly Part[],
  call: (part: Part, index: number) => Promise<ToolRun>,
): Promise<ToolRun> {
  let last: ToolRun = { log: '', tail: 'nothing to do' }
  let said = ''
  for (const [index, part] of parts.entries()) {
    last = await call(part, index).catch((error: unknown) => {
      throw said === '' ? error : afterOthers(error, said)
    })
    said = tail(`${said}${last.tail.trimEnd()}\n`, EARLIER)
  }
  return last
}

/** In the place of it: of two failures the inner one would be told. */
function afterOthers(error: unknown, said: string): unknown {
  const known = knownFailure(error)
  if (!known) return error
  const { code, message, detail } = known
  return failure(code, message, undefined, {
    ...detail,
    evidence: `${said}${tail(detail.evidence ?? message, FAILED)}`,
  })
}

/** What a tool that failed said of it; nothing where it did not fail. */
export const saidOf = ({ exitCode, stdout, stderr }: ProgramResult): string =>
  exitCode === 0 ? '' : lastWords(stderr || stdout)

function lastWords(text: string, pattern?: RegExp): string {
  const lines = text.split('\n').filter((line) => !NOISE.test(line))
  const line =
    (pattern && lines.findLast((candidate) => pattern.test(candidate))) ??
    serverError(lines) ??
    lines.at(-1) ??
    'it said nothing'
  return line.trim().slice(0, 400)
}

/** The driver's error stands before the statement it failed in, or a trace. */
const serverError = (lines: string[]): string | undefined =>
  lines.findLast((line) => /^(?:\S+: ?)?(?:[\w.]*(?:error|exception|errors\.\w+)|fatal)\b ?[:(]/i.test(line))
