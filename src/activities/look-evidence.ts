import type { Client } from 'pg'
import { guardsOf } from '../adapters/journal/fence.js'
import { JOURNAL_REBUILT } from '../adapters/journal/rebuild.js'
import { findRun, isKnown, openRunOf, type RunRecord, resourceOf } from '../adapters/journal/runs.js'
import { listEvents, priorStates } from '../adapters/journal/steps.js'
import { loginRoles } from '../adapters/postgres/role-limits.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { failure, messageOf } from '../domain/failures.js'
import type { BackupSummary } from '../domain/manifest.js'
import { BY_HAND } from '../domain/names.js'
import { strangers, whyOpen } from './gate.js'
import { reportOf } from './journaled-report.js'
import { lookInto } from './look-into.js'
import type { Answer } from './looking.js'
import { fromBackup, newestLost } from './rebuild-run.js'
import type { Site } from './site.js'

/** What a person has to know to choose how an open run is recovered. */
export const lookEvidence: Answer<'evidence'> = async (site, { run, fromBackup: isLost }) => {
  const record = await asked(site, run, isLost === true)
  if (!record) throw await noneOpen(site)
  if (record.state === 'ended' && !isLost)
    throw failure('RunUnknown', `run ${record.name} has ended already: ${record.outcome}`, undefined, {
      hint: `headgate report ${record.name} tells of it`,
    })
  const report = await reportOf(site.journal, record.name)
  const others = record.gate === 'closed' ? await whoCameIn(site, record) : undefined
  const database = await lookInto(site, site.control, 'headgate evidence', (session) =>
    site.migrator.ledger(session, record.tag),
  ).then(
    (ledger) =>
      `the ledger has ${ledger.applied.map(({ version }) => version).join(', ') || 'nothing'}${ledger.dirty === undefined ? '' : `; ${ledger.dirty} is half done`}`,
    async (error) => ((await isClosed(site)) ? CLOSED : messageOf(error)),
  )
  const [paused, held, blocked] = await Promise.all([
    touchedBy(site, record.name, 'consumer'),
    touchedBy(site, record.name, 'autodeploy'),
    touchedBy(site, record.name, 'role'),
  ])
  const events = await listEvents(site.journal, record.name)
  // What a person did since makes it a thing of the past.
  const newest = events.findLast(
    ({ type, body }) => type === 'recovery' || (type === 'recover' && body.choice !== 'automatic'),
  )
  const proposed = newest?.type === 'recovery' ? newest.body : undefined
  const rebuilt = events.find(({ type }) => type === JOURNAL_REBUILT)
  const atWork = await guardsOf(site.journal, resourceOf(record))
  return {
    ...(proposed === undefined ? {} : { proposed: { do: String(proposed.do), why: String(proposed.why) } }),
    ...(rebuilt === undefined ? {} : { rebuilt: String(rebuilt.body.text) }),
    ...(atWork.length === 0 ? {} : { atWork }),
    report: { ...report, backups: await stillThere(site, report.backups) },
    byHand: record.carrier === BY_HAND,
    database,
    gate: record.gate ?? 'never closed',
    ...(others === undefined ? {} : { others }),
    contractStarted: record.contractStarted,
    blocked: await stillBlocked(site, [...blocked]),
    consumers: await Promise.all(
      site.consumers.map(async (consumer) => ({
        name: consumer.name,
        touched: paused.has(consumer.name),
        state: await consumer.state(AbortSignal.timeout(ANSWER_MS)).then(({ state }) => state, messageOf),
      })),
    ),
    autodeploys: await Promise.all(
      site.autodeploys.map(async (autodeploy) => ({
        name: autodeploy.name,
        touched: held.has(autodeploy.name),
        state: await autodeploy.state(AbortSignal.timeout(ANSWER_MS)).then(({ state }) => state, messageOf),
      })),
    ),
    earlier: earlierReasons(events, report.ending?.reason),
    services: await Promise.all(
      site.services.map(async ({ service }) => ({
        name: service.name,
        current: await service.current(AbortSignal.timeout(ANSWER_MS)).then((tag) => tag ?? 'unknown', messageOf),
      })),
    ),
  }
}

/** By name, whatever stage it was. */
const touchedBy = async (site: Site, run: string, kind: 'consumer' | 'autodeploy' | 'role'): Promise<Set<string>> =>
  new Set([...(await priorStates(site.journal, run, kind)).keys()].map((key) => key.slice(key.indexOf('/') + 1)))

const stillBlocked = async (site: Site, roles: readonly string[]): Promise<string[]> => {
  const found = await onServer(site, (control) => loginRoles(control, roles)).catch(() => [])
  return found.filter(({ limit }) => limit === 0).map(({ role }) => role)
}

/** How often it had stopped before is told so many times. */
const EARLIER = 5

/** Newest first; where a recovery failed, what the run itself had failed of is the last of them. */
const earlierReasons = (events: readonly { type: string; body: Record<string, unknown> }[], now = ''): string[] => {
  const reasons = events.filter(({ type }) => type === 'ended').map(({ body }) => String(body.reason))
  return [...new Set(reasons.reverse())].filter((reason) => reason !== now).slice(-EARLIER)
}

const ANSWER_MS = 5_000
const CLOSED = 'closed to everybody (ALLOW_CONNECTIONS false), as the run left it: whatever is chosen opens it'

const onServer = <T>(site: Site, work: (control: Client) => Promise<T>): Promise<T> =>
  withSession(withDatabase(site.control, 'postgres'), { applicationName: 'headgate evidence', readOnly: true }, work)

const isClosed = (site: Site): Promise<boolean> =>
  onServer(site, async (control) => {
    const { rows } = await control.query<{ open: boolean }>(
      'select datallowconn as open from pg_database where datname = $1',
      [site.target.database],
    )
    return rows[0]?.open === false
  }).catch(() => false)

/** A clone that somebody has swapped in by hand, or dropped, is none any more, whatever the journal says. */
const stillThere = (site: Site, backups: readonly BackupSummary[]): Promise<BackupSummary[]> =>
  onServer(site, async (control) => {
    const { rows } = await control.query<{ name: string }>('select datname as name from pg_database')
    const databases = new Set(rows.map(({ name }) => name))
    return backups.map((backup) =>
      backup.kind === 'clone' && backup.state === 'valid' && !databases.has(backup.location)
        ? { ...backup, state: 'dropped' as const }
        : backup,
    )
  }).catch(() => [...backups])

async function asked(site: Site, run: string | undefined, isLost: boolean): Promise<RunRecord | undefined> {
  const { journal, configuration } = site
  if (run === undefined) return openRunOf(journal, configuration.project, configuration.environment)
  if (isLost) return fromBackup(site, run)
  if (await isKnown(journal, run)) return findRun(journal, run)
  throw failure('RunUnknown', `there is no run ${run} in the journal`, undefined, {
    hint: `if the journal was lost before the run had ended: headgate recover ${run} --from-backup opens it again from what its newest dump says`,
  })
}

/** Where the journal is not the one it was, a backup may know of a run that it has forgotten. */
async function noneOpen(site: Site): Promise<Error> {
  const none = `no run is open on ${site.configuration.environment}`
  const lost = await newestLost(site)
  if (lost === undefined) return failure('RunUnknown', none)
  return failure(
    'RunUnknown',
    `${none}; of run ${lost} there is a backup, and the journal does not know it`,
    undefined,
    {
      hint: `if it had not ended when the journal was lost: headgate recover ${lost} --from-backup opens it again from what the backup says`,
    },
  )
}

/** Why the gate cannot be taken as closed until now, counted while whoever is let in is let in; undefined when it can. */
const whoCameIn = (site: Site, run: RunRecord): Promise<string | undefined> =>
  onServer(site, async (control) => {
    const others = await strangers({ site, run, control })
    // Whoever is inside may have written, and is counted later.
    return others.length > 0
      ? `${others.map(({ pid, user, application }) => `pid ${pid} (${user}, ${application || 'unnamed'})`).join(', ')} is inside now`
      : whyOpen({ site, run, control }, 'ours')
  }).catch(messageOf)
