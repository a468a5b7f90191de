import type { Journal } from '../adapters/journal/journal.js'
import { listEvents } from '../adapters/journal/steps.js'

/** What people chose when they recovered the run, oldest first; empty for a run that nobody took over. */
export const recoveriesOf = async (journal: Journal, run: string): Promise<unknown[]> =>
  (await listEvents(journal, run)).filter(({ type }) => type === 'recover').map(({ body }) => body.choice)
