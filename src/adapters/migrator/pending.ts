import { failure } from '../../domain/failures.js'
import type { Ledger, Migration } from '../../domain/migration.js'

export interface UpQuestion {
  files: readonly Pick<Migration, 'version' | 'checksum'>[]
  ledger: Ledger
  target: string
  planned: readonly string[]
  /** Whether the files' order is the only one; a tool with a graph of its own checks that itself. */
  isLinear: boolean
  /** False: the tool goes to head whatever it is told. */
  stopsAtTarget: boolean
}

/**
 * The versions to apply now, in order. Throws `StateUnexpected` when ledger and files do not fit, `PlanInvalid` when
 * something would be applied that is not planned; both list all of it.
 */
export function pendingVersions(question: UpQuestion): string[] {
  const { files, ledger, target, planned, stopsAtTarget } = question
  assertLedgerFits(question)
  const versions = files.map(({ version }) => version)
  const absent = [...planned, target].filter((version) => !versions.includes(version))
  if (absent.length > 0) throw failure('PlanInvalid', `not among the migrations: ${[...new Set(absent)].join(', ')}`)
  const applied = new Set(ledger.applied.map(({ version }) => version))
  const reached = stopsAtTarget ? versions.slice(0, versions.indexOf(target) + 1) : versions
  const pending = reached.filter((version) => !applied.has(version))
  const unplanned = pending.filter((version) => !planned.includes(version))
  if (unplanned.length > 0) throw failure('PlanInvalid', `pending, but not in the plan: ${unplanned.join(', ')}`)
  return pending
}

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
  if (ledger.dirty !== undefined && !planned.includes(ledger.dirty)) problems.push(`${ledger.dirty} is half applied`)
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
