import type { DatabaseErrorsCheck } from '../../domain/configuration-checks.js'
import { onDatabase } from './on-database.js'
import type { Check, CheckSetting } from './port.js'

const TRY_MS = 10_000
/** Transactions of one look of ours: a session's start, the question whether its settings hold, the look itself. */
const OWN_EACH = 3

/** What `pg_stat_database` has counted since its statistics were reset: postgresql.org/docs/current/monitoring-stats.html. */
interface Counts {
  commits: number
  rollbacks: number
  deadlocks: number
}

const COUNTS = `
  select xact_commit::float8 as commits, xact_rollback::float8 as rollbacks, deadlocks::float8 as deadlocks
  from pg_stat_database where datname = current_database()`

/**
 * Of the transactions that have ended in the database since the first look no larger share was rolled back than before it, times
 * and plus what is allowed. No proof before so many have ended.
 */
export function databaseErrors(configuration: DatabaseErrorsCheck, setting: CheckSetting): Check {
  const { databaseErrors: allowed, transactions, within } = configuration
  const name = configuration.name ?? 'no more transactions are rolled back than before'
  // By run: one worker has many.
  const first = new Map<string, { counts: Counts; looks: number }>()
  const check = onDatabase({ name, timeoutMs: TRY_MS, withinMs: within }, setting, async (session, { run }) => {
    const [now] = (await session.query<Counts>(COUNTS)).rows
    if (!now) return { ok: false, found: 'the server counts nothing: track_counts is off, perhaps' }
    const since = first.get(run)
    if (!since || now.commits < since.counts.commits) {
      first.set(run, { counts: now, looks: 0 })
      return { ok: false, found: `0 of ${transactions} transactions have ended since the first look` }
    }
    since.looks += 1
    return judge(since.counts, now, { ...allowed, transactions, own: since.looks * OWN_EACH })
  })
  return { ...check, successes: configuration.successes, onlyInRun: 'it compares what it sees in the course of one' }
}

function judge(
  before: Counts,
  now: Counts,
  { times, plus, transactions, own }: { times: number; plus: number; transactions: number; own: number },
): { ok: boolean; found: string } {
  const rollbacks = now.rollbacks - before.rollbacks
  const ended = Math.max(rollbacks, now.commits - before.commits - own + rollbacks)
  if (ended < transactions)
    return { ok: false, found: `${ended} of ${transactions} transactions have ended since the first look` }
  const share = rollbacks / ended
  const most = shareOf(before) * times + plus
  const deadlocks = now.deadlocks - before.deadlocks
  const found = [
    `${percent(share)} of ${ended} transactions were rolled back, ${percent(shareOf(before))} before`,
    ...(share > most ? [`more than ${percent(most)}`] : []),
    ...(deadlocks > 0 ? [`${deadlocks} deadlocks`] : []),
  ]
  return { ok: share <= most, found: found.join(', ') }
}

const shareOf = ({ commits, rollbacks }: Counts): number => rollbacks / Math.max(1, commits + rollbacks)
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
