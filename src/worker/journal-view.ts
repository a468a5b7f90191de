import { newestReport, reportOf } from '../activities/index.js'
import { Journal } from '../adapters/journal/journal.js'
import type { Settings } from '../adapters/configuration/index.js'
import type { Report } from '../domain/report.js'
import { journalTarget } from './journals.js'
import { resolveConfiguration } from './site.js'

/**
 * What the journal says of a run, or of an environment's open or newest one, asked directly: on a worker's host, where
 * Temporal is away. Changes nothing, not even a journal that is missing. Throws what the configuration throws,
 * `JournalUnavailable`, `RunUnknown`.
 */
export async function reportFromJournal(
  settings: Settings,
  { environment, run }: { environment: string; run?: string },
): Promise<Report | undefined> {
  const configuration = await resolveConfiguration(settings, environment)
  const journal = new Journal(journalTarget(configuration), configuration.journal.schema)
  try {
    return await (run === undefined
      ? newestReport(journal, configuration.project, environment)
      : reportOf(journal, run))
  } finally {
    await journal.close()
  }
}
