import { findRun, openRunOf, type RunRecord } from '../adapters/journal/runs.js'
import { priorStates } from '../adapters/journal/steps.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { failure, messageOf } from '../domain/failures.js'
import { strangers, whyOpen } from './gate.js'
import { reportOf } from './journaled-report.js'
import { lookInto } from './look-into.js'
import type { Answer } from './looking.js'
import type { Site } from './site.js'

/** What a person has to know to choose how an open run is recovered. */
export const lookEvidence: Answer<'evidence'> = async (site, { run }) => {
  const record =
    run === undefined
      ? await openRunOf(site.journal, site.configuration.project, site.configuration.environment)
      : await findRun(site.journal, run)
  if (!record) throw failure('RunUnknown', `no run is open on ${site.configuration.environment}`)
  const report = await reportOf(site.journal, record.name)
  const others = record.gate === 'closed' ? await whoCameIn(site, record) : undefined
  const database = await lookInto(site, site.control, 'headgate evidence', (session) =>
    site.migrator.ledger(session, record.tag),
  ).then(
    (ledger) =>
      `the ledger has ${ledger.applied.map(({ version }) => version).join(', ') || 'nothing'}${ledger.dirty === undefined ? '' : `; ${ledger.dirty} is half done`}`,
    messageOf,
  )
  const paused = [...(await priorStates(site.journal, record.name, 'consumer')).keys()]
  return {
    report,
    database,
    gate: record.gate ?? 'never closed',
    ...(others === undefined ? {} : { others }),
    contractStarted: record.contractStarted,
    consumers: await Promise.all(
      site.consumers.map(async (consumer) => ({
        name: consumer.name,
        touched: paused.some((name) => name.endsWith(`/${consumer.name}`)),
        state: await consumer.state(AbortSignal.timeout(5_000)).then(({ state }) => state, messageOf),
      })),
    ),
    services: await Promise.all(
      site.services.map(async ({ service }) => ({
        name: service.name,
        current: await service.current(AbortSignal.timeout(5_000)).then((tag) => tag ?? 'unknown', messageOf),
      })),
    ),
  }
}

/** Why the gate cannot be taken as closed until now, counted while whoever is let in is let in; undefined when it can. */
const whoCameIn = (site: Site, run: RunRecord): Promise<string | undefined> =>
  withSession(
    withDatabase(site.control, 'postgres'),
    { applicationName: 'headgate evidence', readOnly: true },
    async (control) => {
      const others = await strangers({ site, run, control })
      // Whoever is inside may have written, and is counted later.
      return others.length > 0
        ? `${others.map(({ pid, user, application }) => `pid ${pid} (${user}, ${application || 'unnamed'})`).join(', ')} is inside now`
        : whyOpen({ site, run, control }, 'ours')
    },
  ).catch(messageOf)
