import { findRun, openRunOf } from '../adapters/journal/runs.js'
import { priorStates } from '../adapters/journal/steps.js'
import { withSession } from '../adapters/postgres/session.js'
import { failure, messageOf } from '../domain/failures.js'
import { reportOf } from './journaled-report.js'
import type { Answer } from './looking.js'

/** What a person has to know to choose how an open run is recovered. */
export const lookEvidence: Answer<'evidence'> = async (site, { run }) => {
  const record =
    run === undefined
      ? await openRunOf(site.journal, site.configuration.project, site.configuration.environment)
      : await findRun(site.journal, run)
  if (!record) throw failure('RunUnknown', `no run is open on ${site.configuration.environment}`)
  const report = await reportOf(site.journal, record.name)
  const database = await withSession(
    site.control,
    { applicationName: 'headgate evidence', readOnly: true },
    (session) => site.migrator.ledger(session, record.tag),
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
