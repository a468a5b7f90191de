import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { type Ledger, type Migration, neededBy, restOn } from '../../domain/migration.js'
import type { Mark } from '../../domain/plan.js'
import { withOwnSession } from '../postgres/account.js'
import type { Target } from '../postgres/target.js'

/**
 * How the history has the version now; undefined where it is as it shall be. Throws `PlanInvalid` where marking it would leave
 * a history that no tool makes: an applied version behind a pending one.
 */
export function stateBefore(files: readonly Migration[], ledger: Ledger, { version, as }: Mark): string | undefined {
  const file = files.find((one) => one.version === version)
  const applied = ledger.applied.find((one) => one.version === version)
  if (as === 'pending') {
    if (!file && !applied && ledger.dirty !== version)
      throw failure('PlanInvalid', `neither the release nor the history has a migration ${version}`)
    if (!applied && ledger.dirty !== version) return undefined
    const [later] = [...laterThan(files, ledger, version)]
    if (later !== undefined)
      throw failure('PlanInvalid', `${later} was applied after ${version}: mark that as pending first`)
    return applied ? 'applied' : 'half done'
  }
  if (!file) throw failure('PlanInvalid', `the release has no migration ${version}`)
  if (applied && (applied.checksum === undefined || applied.checksum === file.checksum)) return undefined
  const known = new Set(ledger.applied.map((one) => one.version))
  const needed = neededBy(files, new Set([version]))
  const earlier = files.find((one) => needed.has(one.version) && !known.has(one.version))
  if (earlier) throw failure('PlanInvalid', `${earlier.version} comes before ${version}: mark that as applied first`)
  if (applied) return 'applied from another file'
  return ledger.dirty === version ? 'half done' : 'pending'
}

/** Applied versions that come after it: by the files, or by the ledger's own order where the file is gone. */
function laterThan(files: readonly Migration[], { applied }: Ledger, version: string): string[] {
  const order = files.some((one) => one.version === version) ? files : applied
  const later = restOn(order, version)
  return applied.map((one) => one.version).filter((one) => later.has(one))
}

/** Changes the ledger in one transaction. */
export const inLedger = (target: Target, fence: Fence, change: (session: Client) => Promise<void>): Promise<void> =>
  withOwnSession(target, fence, {}, async (session) => {
    await session.query('begin')
    await change(session)
    await fence.check()
    await session.query('commit')
  })

/** The file that a version is marked as applied from. Throws `PlanInvalid` where there is none. */
export function fileOf(files: readonly Migration[], version: string): Migration {
  const file = files.find((one) => one.version === version)
  if (!file) throw failure('PlanInvalid', `the release has no migration ${version}`)
  return file
}
