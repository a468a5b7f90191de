import { duration, moment, size } from '../domain/amounts.js'
import type { RehearsedMigration } from '../domain/look.js'
import { type MeasuredLock, type MeasuredMigration, type Rehearsal, wentWell } from '../domain/rehearsal.js'
import { line, plural, titleOf } from './output-words.js'

/** What was measured, statement by statement, and what to type next. */
export function rehearsalLines(environment: string, rehearsal: Rehearsal): string[] {
  const { source, bytes, serverVersion, migrations, previous, tag, behind = [] } = rehearsal
  const tagOption = tag === undefined ? '' : ` --tag ${tag}`
  const head = `rehearsal of ${environment}${tag === undefined ? '' : `, tag ${tag}`}, on a copy of ${sourceOf(source)}: ${size(bytes)}, PostgreSQL ${line(serverVersion)}`
  if (migrations.length === 0)
    return [head, '  nothing is pending', `  next       headgate info ${environment}${tagOption}`]
  return [
    head,
    ...migrations.flatMap(migrationLines),
    ...(previous === undefined
      ? []
      : [
          `  previous   ${previous.isFine ? 'uses the expanded copy' : 'does not get on with the expanded copy'}: ${line(previous.said)}`,
        ]),
    ...(behind.length === 0
      ? []
      : [
          `  warn       the copy is from before ${behind.map(line).join(', ')}: rows that were written since were not tried; headgate backup ${environment}, and rehearse again`,
        ]),
    '  the copy is dropped',
    `  next       ${wentWell(rehearsal) ? `headgate plan ${environment}${tagOption}` : 'put right what failed, and rehearse again'}`,
  ]
}

const sourceOf = ({ kind, name, takenAt }: Rehearsal['source']): string =>
  kind === 'database'
    ? `database ${line(name)}`
    : `${kind} ${line(name)}${takenAt === undefined ? '' : `, taken ${moment(takenAt)}`}`

function migrationLines(migration: MeasuredMigration): string[] {
  const { version, name, phase, ms, temporaryBytes, statements, failed, measuredWith } = migration
  const temporary = temporaryBytes === 0 ? '' : `, ${size(temporaryBytes)} of temporary files`
  return [
    `  ${titleOf(version, name)}  ${phase}, ${duration(ms)}${temporary}`,
    ...statements.flatMap(({ sql, ms: took, locks, rewrites, rows, walBytes, unseen }) => [
      `    ${duration(took).padStart(8)}  ${line(sql)}`,
      ...locks.map((lock) => `              holds ${holdOf(lock)}`),
      ...(rewrites.length === 0 ? [] : [`              writes anew: ${rewrites.map(line).join(', ')}`]),
      ...(unseen ? ['              what it locked was over too soon to be seen'] : []),
      ...amounts(rows, walBytes),
    ]),
    ...(measuredWith === undefined ? [] : [`    measured with ${line(measuredWith)}: the tool applies all at once`]),
    ...(statements.length === 0 && failed === undefined && measuredWith === undefined
      ? ['    nothing that anybody would notice']
      : []),
    ...(failed === undefined ? [] : [`    failed   ${line(failed)}`]),
  ]
}

/** Little WAL is no news. */
const WORTH_BYTES = 1_000_000

function amounts(rows: number | undefined, walBytes: number): string[] {
  const words = [
    ...(rows ? [plural(rows, 'row')] : []),
    ...(walBytes >= WORTH_BYTES ? [`at most ${size(walBytes)} of WAL`] : []),
  ]
  return words.length === 0 ? [] : [`              writes ${words.join(', ')}`]
}

const holdOf = ({ table, mode, heldMs }: MeasuredLock): string => `${line(table)} ${mode} for ${duration(heldMs)}`

/** In a plan: what is known of one migration. */
export function rehearsedLines({
  at,
  source,
  bytes,
  ms,
  holds,
  failed,
  measuredWith,
  previousFails,
}: RehearsedMigration): string[] {
  const where = `${moment(at)} on ${source.kind === 'database' ? `a copy of ${line(source.name)}` : `a ${source.kind}`} of ${size(bytes)}`
  if (failed !== undefined) return [`    rehearsed it failed, ${where}: ${line(failed)}`]
  const took = measuredWith === undefined ? duration(ms) : `with ${line(measuredWith)}`
  return [
    `    rehearsed ${took}, ${where}`,
    ...(previousFails === undefined
      ? []
      : [`              the image of before did not get on with it: ${line(previousFails)}`]),
    ...holds.map((lock) => `              held ${holdOf(lock)}`),
  ]
}
