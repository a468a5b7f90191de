import { failure } from '../../domain/failures.js'
import type { Ledger, Migration, Planned } from '../../domain/migration.js'

export interface UpQuestion {
  files: readonly Planned[]
  ledger: Ledger
  target: string
  planned: readonly Planned[]
  /** Whether the files' order is the only one; a tool with a graph of its own checks that itself. */
  isLinear: boolean
  /** False: the tool goes to head whatever it is told. */
  stopsAtTarget: boolean
}

/**
 * The versions to apply now, in order. Throws `StateUnexpected` when ledger and files do not fit, `PlanStale` when something
 * else would be applied than what was planned; both list all of it.
 */
export function pendingVersions(question: UpQuestion): string[] {
  const { files, ledger, target, planned, stopsAtTarget } = question
  assertLedgerFits(question)
  const applied = new Set(ledger.applied.map(({ version }) => version))
  requireAsPlanned(
    files,
    planned.filter(({ version }) => !applied.has(version)),
  )
  const versions = files.map(({ version }) => version)
  const reached = stopsAtTarget ? versions.slice(0, versions.indexOf(target) + 1) : versions
  const pending = reached.filter((version) => !applied.has(version))
  const known = new Set(planned.map(({ version }) => version))
  const added = pending.filter((version) => !known.has(version))
  if (added.length > 0) throw stale(added.map((version) => `${version} is pending and was not`))
  return pending
}

/** Throws `PlanStale`, naming each of `planned` whose file is missing or was edited. */
export function requireAsPlanned(files: readonly Planned[], planned: readonly Planned[]): void {
  const checksums = new Map(files.map(({ version, checksum }) => [version, checksum]))
  const changed = planned.flatMap(({ version, checksum }) => {
    if (!checksums.has(version)) return [`${version} is missing`]
    return checksums.get(version) === checksum ? [] : [`${version} was edited`]
  })
  if (changed.length > 0) throw stale(changed)
}

const stale = (changes: readonly string[]): Error =>
  failure(
    'PlanStale',
    `${changes.join(', ')} since the plan was made: put back the files that were planned, or deploy again`,
  )

function assertLedgerFits({ files, ledger, planned, isLinear }: UpQuestion): void {
  const checksums = new Map(files.map(({ version, checksum }) => [version, checksum]))
  const problems = ledger.applied.flatMap(({ version, checksum }) => {
    if (!checksums.has(version)) return [`${version} is applied, but its file is missing`]
    const edited = checksum !== undefined && checksum !== checksums.get(version)
    return edited ? [`${version} was edited after it was applied`] : []
  })
  if (isLinear)
    problems.push(
      ...outOfOrder(
        files.map(({ version }) => version),
        ledger,
      ),
    )
  if (ledger.dirty !== undefined && !planned.some(({ version }) => version === ledger.dirty))
    problems.push(`${ledger.dirty} is half applied`)
  if (problems.length === 0) return
  throw failure(
    'StateUnexpected',
    problems.length === 1 ? (problems[0] ?? '') : `${problems[0]}, and ${problems.length - 1} more`,
    undefined,
    {
      changed: 'nothing was changed',
      evidence: problems.join('\n'),
    },
  )
}

function outOfOrder(versions: string[], { applied }: Ledger): string[] {
  const done = new Set(applied.map(({ version }) => version))
  const newest = versions.findLastIndex((version) => done.has(version))
  return versions
    .slice(0, Math.max(0, newest))
    .filter((version) => !done.has(version))
    .map((version) => `${version} is older than ${versions[newest]}, which is applied`)
}

/** As `versionsToUndo`: the migrations themselves, each as `asDown` makes its way down of it. */
export async function waysDownOf<M extends Migration>(
  files: readonly M[],
  ledger: Ledger,
  target: string,
  asDown: (file: M) => Promise<Migration> | Migration,
): Promise<Migration[]> {
  const undone = versionsToUndo(files, ledger, target).flatMap((version) =>
    files.filter((file) => file.version === version),
  )
  // What its comments say counted on its way up.
  return (await Promise.all(undone.map(asDown))).map(
    ({ unheard: _, restsOn: __, unread: ___, ...migration }) => migration,
  )
}

/** The versions to undo, newest first, down to `target`, exclusive; the empty string undoes all. Throws `PlanInvalid`. */
export function versionsToUndo(
  files: readonly Pick<Migration, 'version' | 'hasDown'>[],
  ledger: Ledger,
  target: string,
): string[] {
  const applied = new Set(ledger.applied.map(({ version }) => version))
  if (target !== '' && !applied.has(target)) throw failure('PlanInvalid', `${target} is not applied`)
  const versions = files.map(({ version }) => version)
  const undone = versions
    .slice(target === '' ? 0 : versions.indexOf(target) + 1)
    .filter((version) => applied.has(version))
  const oneWay = files
    .filter(({ version, hasDown }) => undone.includes(version) && !hasDown)
    .map(({ version }) => version)
  if (oneWay.length > 0) throw failure('PlanInvalid', `there is no way down from ${oneWay.join(', ')}`)
  return undone.reverse()
}
