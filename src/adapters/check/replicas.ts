import type { ReplicasCheck } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { onDatabase } from './on-database.js'
import type { Check, CheckSetting } from './port.js'

const TRY_MS = 10_000

interface Standby {
  name: string
  state: string
  /** What it has not replayed yet; null where the role does not see it. */
  bytes: string | null
  seconds: number | null
}

/**
 * What each standby has not replayed yet: `pg_stat_replication`, of which only roles with `pg_read_all_stats` see more than that
 * somebody is there. Readers of logical slots are in a database, and what only receives WAL replays none: neither is a standby. One
 * that has replayed everything tells no lag in time: it counts as none.
 */
const STANDBYS = `
  select coalesce(nullif(pg_stat_replication.application_name, ''), host(pg_stat_replication.client_addr), 'pid ' || pid) as name, pg_stat_replication.state,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::text as bytes,
    case when replay_lsn = pg_current_wal_lsn() then 0 else extract(epoch from replay_lag) end::float8 as seconds
  from pg_stat_replication join pg_stat_activity using (pid)
  where datid is null and (pg_stat_replication.state is null or replay_lsn is not null) order by 1`

/** Every standby streams, and is not further behind than it may be; at least so many are there. */
export function replicas(configuration: ReplicasCheck, setting: CheckSetting): Check {
  const { replicaLag, count, within } = configuration
  const name = configuration.name ?? `replicas at most ${replicaLag / 1000} s behind`
  return onDatabase({ name, timeoutMs: TRY_MS, withinMs: within }, setting, async (session) =>
    judge((await session.query<Standby>(STANDBYS)).rows, replicaLag / 1000, count),
  )
}

function judge(standbys: readonly Standby[], most: number, count: number): { ok: boolean; found: string } {
  const found = standbys.map(({ name, state, bytes, seconds }) =>
    state === null || bytes === null
      ? `${name} is not seen: grant pg_read_all_stats`
      : `${name} ${state}, ${seconds === null ? 'nobody knows how long' : `${seconds.toFixed(1)} s`} and ${bytes} bytes behind`,
  )
  const isFine = ({ state, bytes, seconds }: Standby): boolean =>
    state === 'streaming' && bytes !== null && seconds !== null && seconds <= most
  const ok = standbys.length >= count && standbys.every(isFine)
  const missing = standbys.length < count ? [`${standbys.length} of ${count} are connected`] : []
  return { ok, found: excerpt([...missing, ...found].join('; ') || 'no standby') }
}
