import type { OwnSession } from '../../domain/fence.js'
import { inUtc } from '../postgres/activity.js'
import type { Journal } from './journal.js'

export interface StepRecord {
  id: string
  run: string
  step: string
  stage: number
  attempt: number
  epoch: number
  state: 'intended' | 'done' | 'failed'
  result: unknown
  failure: { code: string; message: string; evidence?: string } | undefined
  startedAt: Date
  endedAt: Date | undefined
}

/** Records what is about to be done, before it is. Returns the record's id. */
export async function intend(
  journal: Journal,
  step: { run: string; step: string; stage: number; attempt: number; epoch: number; host: string },
): Promise<string> {
  const [row] = await journal.write((sql) =>
    sql<{ id: string }>(
      'insert into steps (run, step, stage, attempt, epoch, host) values ($1, $2, $3, $4, $5, $6) returning id',
      [step.run, step.step, step.stage, step.attempt, step.epoch, step.host],
    ),
  )
  return row?.id ?? ''
}

/** Records what came of it. */
export async function settle(journal: Journal, id: string, state: 'done' | 'failed', what: unknown): Promise<void> {
  const column = state === 'done' ? 'result' : 'failure'
  await journal.write((sql) =>
    sql(`update steps set state = $2, ${column} = $3, ended_at = clock_timestamp() where id = $1`, [
      id,
      state,
      JSON.stringify(what ?? null),
    ]),
  )
}

export async function listSteps(journal: Journal, run: string): Promise<StepRecord[]> {
  const rows = await journal.read<
    Omit<StepRecord, 'startedAt' | 'endedAt' | 'failure'> & {
      started_at: Date
      ended_at: Date | null
      failure: StepRecord['failure'] | null
    }
  >(
    'select id, run, step, stage, attempt, epoch::int, state, result, failure, started_at, ended_at from steps where run = $1 order by id',
    [run],
  )
  return rows.map(({ started_at, ended_at, failure, ...row }) => ({
    ...row,
    failure: failure ?? undefined,
    startedAt: started_at,
    endedAt: ended_at ?? undefined,
  }))
}

/** Something worth reading in the report: a wait, a hold, a warning. */
const NOTICE = 'notice'

export async function recordEvent(
  journal: Journal,
  run: string,
  type: string,
  body: Record<string, unknown>,
): Promise<void> {
  await journal.write((sql) =>
    sql('insert into events (run, type, body) values ($1, $2, $3)', [run, type, JSON.stringify(body)]),
  )
}

/** What numbers a notice: one that is told again, `by` the same and of the same kind, has the number it had, and is a repeat. */
export async function noticeNumber(
  journal: Journal,
  run: string,
  by: string,
  kind: string,
): Promise<{ sequence: number; repeat?: true }> {
  return journal.write(async (sql) => {
    const body = JSON.stringify({ by, kind })
    const known = `select id from events where run = $1 and type = '${NOTICE}' and body = $2::jsonb order by id limit 1`
    const [before] = await sql<{ id: string }>(known, [run, body])
    if (before) return { sequence: Number(before.id), repeat: true }
    await sql(`insert into events (run, type, body) values ($1, '${NOTICE}', $2)`, [run, body])
    const [now] = await sql<{ id: string }>(known, [run, body])
    return { sequence: Number(now?.id) }
  })
}

/** What happened to the run, oldest first; that people were told of it is not among it. */
export async function listEvents(
  journal: Journal,
  run: string,
): Promise<{ at: Date; type: string; body: Record<string, unknown> }[]> {
  return journal.read('select at, type, body from events where run = $1 and type <> $2 order by id', [run, NOTICE])
}

/** Keeps what something was like before the run touched it. The first record of a run stands: a second pause must not record "was paused". */
export async function recordPriorState(
  journal: Journal,
  run: string,
  kind: 'consumer' | 'service' | 'autodeploy' | 'role' | 'position' | 'database' | 'capture',
  name: string,
  state: unknown,
): Promise<void> {
  await journal.write((sql) =>
    sql('insert into prior_states (run, kind, name, state) values ($1, $2, $3, $4) on conflict do nothing', [
      run,
      kind,
      name,
      JSON.stringify(state),
    ]),
  )
}

/** In the place of the first record. */
export async function replacePriorState(
  journal: Journal,
  run: string,
  kind: 'consumer' | 'service' | 'autodeploy' | 'role',
  name: string,
  state: unknown,
): Promise<void> {
  await journal.write((sql) =>
    sql('update prior_states set state = $4 where run = $1 and kind = $2 and name = $3', [
      run,
      kind,
      name,
      JSON.stringify(state),
    ]),
  )
}

export async function priorStates(journal: Journal, run: string, kind: string): Promise<Map<string, unknown>> {
  const rows = await journal.read<{ name: string; state: unknown }>(
    'select name, state from prior_states where run = $1 and kind = $2',
    [run, kind],
  )
  return new Map(rows.map((row) => [row.name, row.state]))
}

/** By kind and name; what only this server, as it is now, could make use of is left out. */
export async function allPriorStates(journal: Journal, run: string): Promise<Record<string, Record<string, unknown>>> {
  const rows = await journal.read<{ kind: string; states: Record<string, unknown> }>(
    `select kind, jsonb_object_agg(name, state) as states from prior_states where run = $1 and kind <> 'capture' group by kind`,
    [run],
  )
  return Object.fromEntries(rows.map(({ kind, states }) => [kind, states]))
}

/** Ids of every transaction of the journal's from `first` on: what the proof that nothing changed may explain. */
export async function ownTransactions(journal: Journal, first: string): Promise<Set<string>> {
  const rows = await journal.read<{ xid: string }>('select xid::text from transactions where xid >= $1::xid8', [first])
  return new Set(rows.map((row) => row.xid))
}

/** Explains a transaction of ours outside the journal, on the journal's cluster, before it commits. */
export async function recordTransaction(journal: Journal, xid: string): Promise<void> {
  await journal.write((sql) => sql('insert into transactions (xid) values ($1::xid8) on conflict do nothing', [xid]))
}

/** By the clock of the journal's server, which everything in it is dated by. */
export async function nowOf(journal: Journal): Promise<Date> {
  const [row] = await journal.read<{ now: Date }>('select clock_timestamp() as now')
  return row?.now ?? new Date()
}

/** Of the cluster the journal is in. */
export async function systemIdentifierOf(journal: Journal): Promise<string> {
  const [row] = await journal.read<{ id: string }>('select system_identifier::text as id from pg_control_system()')
  return row?.id ?? ''
}

/** A session of ours on the target behind the closed gate. */
export async function recordGateSession(
  journal: Journal,
  run: string,
  { pid, startedAt }: Pick<OwnSession, 'pid' | 'startedAt'>,
): Promise<void> {
  await journal.write((sql) =>
    sql('insert into gate_sessions values ($1, $2, $3) on conflict do nothing', [run, pid, startedAt]),
  )
}

/** As `recordGateSession`, of one who is outside the run; nothing where the run has begun to count anew since `counted`. */
export async function recordLook(
  journal: Journal,
  run: string,
  counted: bigint,
  { pid, startedAt }: Pick<OwnSession, 'pid' | 'startedAt'>,
): Promise<void> {
  await journal.write((sql) =>
    sql(
      // Locked: whoever begins to count anew meanwhile has this session in the new count already.
      `insert into gate_sessions select name, $3::int, $4::timestamptz from runs where name = $1 and gate = 'closed' and gate_sessions = $2
       for share on conflict do nothing`,
      [run, counted.toString(), pid, startedAt],
    ),
  )
}

/**
 * Accounts for all that came until the database had had `sessions`: those that nobody journaled are proven to have written
 * nothing. Whoever is journaled meanwhile is not counted twice.
 */
export async function recordVouched(journal: Journal, run: string, sessions: bigint): Promise<void> {
  await journal.write(async (sql) => {
    // Locked: a look that is journaled meanwhile waits.
    await sql('select name from runs where name = $1 for update', [run])
    await sql(
      `insert into gate_sessions select name, -n, clock_timestamp()
         from runs, generate_series(1, $2::bigint - gate_sessions - (select count(*) from gate_sessions where run = $1)) n
        where name = $1 and gate = 'closed'`,
      [run, sessions.toString()],
    )
  })
}

/** Those that were accounted for since the gate was proven closed. */
export const gateSessions = (journal: Journal, run: string): Promise<Pick<OwnSession, 'pid' | 'startedAt'>[]> =>
  journal.read(
    `select backend_pid as pid, ${inUtc('backend_start')} as "startedAt" from gate_sessions where run = $1`,
    [run],
  )

export async function countGateSessions(journal: Journal, run: string): Promise<bigint> {
  const [row] = await journal.read<{ n: string }>('select count(*) as n from gate_sessions where run = $1', [run])
  return BigInt(row?.n ?? 0)
}
