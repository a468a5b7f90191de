import { type CopySource, onCopy } from '../adapters/backup/copy.js'
import { listBackups } from '../adapters/journal/backups.js'
import { recordRehearsal } from '../adapters/journal/rehearsals.js'
import { openRunOf } from '../adapters/journal/runs.js'
import { readIdentity } from '../adapters/postgres/identity.js'
import { withSession } from '../adapters/postgres/session.js'
import type { Statement } from '../adapters/postgres/sql-statements.js'
import { isServerWide } from '../adapters/postgres/statement-kind.js'
import { startStatementProxy } from '../adapters/postgres/statement-proxy.js'
import { type Target, withDatabase } from '../adapters/postgres/target.js'
import { failure } from '../domain/failures.js'
import type { Rehearsal } from '../domain/rehearsal.js'
import { ScratchFence } from '../domain/scratch-fence.js'
import { lookInto } from './look-into.js'
import type { Answer } from './looking.js'
import { pendingOf, requireTag } from './make-plan.js'
import { RehearsalRun } from './rehearsal-run.js'
import type { Site } from './site.js'

const OWNER = 'rehearsal'
const SESSION = 'headgate rehearse'

/** Applies the pending migrations to a copy, one at a time, and measures what they do. The copy is gone afterwards; the environment's own database is not touched. */
export const lookRehearse: Answer<'rehearse'> = async (site, { tag }, signal, progress) => {
  requireTag(site, tag)
  await requireGateOpen(site)
  const fence = new ScratchFence(SESSION, progress, signal)
  const live = await lookInto(site, site.target, SESSION, (session) => site.migrator.ledger(session, tag))
  // A release that could not be planned, as one that lacks what is applied, has nothing that could be tried.
  pendingOf(await site.migrator.migrations(tag ?? '', live), live)
  const applied = new Set(live.applied.map(({ version }) => version))
  const { source, at } = await sourceOf(site, applied)
  const request = { source: at.source, owner: OWNER, controlTarget: at.control, target: at.role }
  const { project, environment } = site.configuration
  return onCopy(request, fence, (copy) =>
    withSession(copy.target, { applicationName: SESSION, statementTimeoutMs: 0 }, async (watch) => {
      const proxy = await startStatementProxy(copy.target, watch, at.isApart ? undefined : refuseServerWide)
      try {
        const run = new RehearsalRun(site, tag ?? '', { copy, proxy, watch, live: applied }, fence)
        const rehearsal = {
          ...(await run.through()),
          at: new Date().toISOString(),
          source,
          ...(tag === undefined ? {} : { tag }),
        }
        await recordRehearsal(site.journal, { project, environment }, rehearsal)
        return rehearsal
      } finally {
        await proxy.close()
      }
    }),
  )
}

/** Behind a closed gate every transaction of the cluster counts. */
async function requireGateOpen({ journal, configuration }: Site): Promise<void> {
  const run = await openRunOf(journal, configuration.project, configuration.environment)
  if (run?.gate === 'closed')
    throw failure(
      'RunOpen',
      `run ${run.name} has closed the gate of ${configuration.environment}: a rehearsal would disturb it`,
    )
}

/** The copy's server is the environment's own. */
const refuseServerWide = (statement: Statement): string | undefined =>
  isServerWide(statement)
    ? `not rehearsed: ${statement.words.slice(0, 80)} changes more than the copy, on the environment's own server; rehearse on another one (rehearsal.from)`
    : undefined

interface Where {
  source: CopySource
  control: Target
  role: Target
  /** Whether it is another server than the environment's own. */
  isApart: boolean
}

async function sourceOf(site: Site, applied: ReadonlySet<string>): Promise<{ source: Rehearsal['source']; at: Where }> {
  const { rehearsalSource, journal, configuration, backups, control, target } = site
  if (rehearsalSource) {
    const { database } = rehearsalSource
    const live = await lookInto(site, target, SESSION, readIdentity)
    const there = await withSession(
      withDatabase(rehearsalSource, 'postgres'),
      { applicationName: SESSION },
      readIdentity,
    )
    const isApart = live.systemIdentifier !== there.systemIdentifier
    if (!isApart && database === live.database)
      throw failure(
        'GuardFailed',
        `rehearsal.from is the database of ${configuration.environment} itself: people are in it`,
      )
    return {
      source: { kind: 'database', name: database },
      at: { source: { database }, control: rehearsalSource, role: rehearsalSource, isApart },
    }
  }
  const { project, environment } = configuration
  const all = (await listBackups(journal, project, environment)).filter(({ state }) => state === 'valid')
  // One from before a rollback has what is pending now: that could not be tried on it.
  const valid = all.find(({ manifest }) => manifest.ledger.every((version) => applied.has(version)))
  if (!valid)
    throw failure(
      'GuardFailed',
      all.length === 0
        ? `there is no backup of ${environment} to rehearse on`
        : `every backup of ${environment} has migrations that are pending now`,
      undefined,
      { hint: `take one with headgate backup ${environment}, or name a copy in rehearsal.from` },
    )
  const { manifest } = valid
  const { kind, name, takenAt } = manifest
  return {
    source: { kind, name, takenAt },
    at: { source: { manifest, engine: backups[kind] }, control, role: target, isApart: false },
  }
}
