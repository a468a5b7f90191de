import type { SlotsCheck } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { onDatabase } from './on-database.js'
import type { Check, CheckSetting } from './port.js'

const TRY_MS = 10_000

interface Slot {
  name: string
  active: boolean | null
  /** Where its reader has come to; bytes since the beginning. */
  confirmed: string | null
  /** Where the server is. */
  current: string
}

const SLOTS = `
  select name, active, pg_wal_lsn_diff(coalesce(confirmed_flush_lsn, restart_lsn), '0/0')::text as confirmed,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text as current
  from unnest($1::text[]) as name left join pg_replication_slots on slot_name = name`

/**
 * Readers of replication slots (a CDC connector, a subscription) get on: each slot is active, and its reader has confirmed what
 * was written before the first look at it.
 */
export function slots(configuration: SlotsCheck, setting: CheckSetting): Check {
  const { slots: names, within } = configuration
  const name = configuration.name ?? `slots ${names.join(', ')} move`
  // By run: one worker has many.
  const wanted = new Map<string, bigint>()
  return onDatabase({ name, timeoutMs: TRY_MS, withinMs: within }, setting, async (session, { run }) => {
    const seen = (await session.query<Slot>(SLOTS, [names])).rows
    const goal = wanted.get(run) ?? BigInt(seen[0]?.current ?? 0)
    wanted.set(run, goal)
    const behind = seen.flatMap((slot) => whyBehind(slot, goal) ?? [])
    const found = behind.join(', ') || names.map((slot) => `${slot} moves`).join(', ')
    return { ok: behind.length === 0, found: excerpt(found, setting.secrets) }
  })
}

function whyBehind({ name, active, confirmed }: Slot, goal: bigint): string | undefined {
  if (active === null) return `${name} is not there`
  if (!active) return `${name} has no reader`
  const behind = goal - BigInt(confirmed ?? 0)
  return behind > 0n ? `${name} is ${behind} bytes behind` : undefined
}
