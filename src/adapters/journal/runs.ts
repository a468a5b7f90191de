import { failure } from '../../domain/failures.js'
import { Plan, type Requester, type RunKind } from '../../domain/plan.js'
import type { Ending } from '../../domain/run.js'
import type { OwnSession } from '../../domain/fence.js'
import type { Journal, Statement } from './journal.js'

export interface RunRecord {
  name: string
  project: string
  environment: string
  kind: RunKind
  lane: string
  systemIdentifier: string
  database: string
  databaseOids: string[]
  workflowId: string
  /** The execution that opened it. */
  workflowRunId: string
  /** Of the chain that this execution belongs to: by it the server knows one that was reset, or went on as new. */
  firstRunId: string
  /** The workflow that may act for the run: the one that opened it, or the recovery that took it over. */
  carrier: string
  /** The Temporal that knows it. */
  engine: string
  tag: string | undefined
  planDigest: string | undefined
  requester: Requester
  state: 'open' | 'ended'
  gate: 'closed' | 'open' | undefined
  gateSessions: bigint | undefined
  /** Which count `gateSessions` is of; undefined where it is not known. */
  gateCountedSince: string | undefined
  contractStarted: boolean
  outcome: string | undefined
  ending: Ending | undefined
  startedAt: Date
  endedAt: Date | undefined
}

interface RunRow {
  name: string
  project: string
  environment: string
  kind: RunKind
  lane: string
  system_identifier: string
  database: string
  database_oids: string[]
  workflow_id: string
  workflow_run_id: string
  first_run_id: string | null
  carrier: string | null
  engine: string
  tag: string | null
  plan_digest: string | null
  requested: Requester
  state: 'open' | 'ended'
  gate: 'closed' | 'open' | null
  gate_sessions: string | null
  gate_counted_since: string | null
  contract_started_at: Date | null
  outcome: string | null
  ending: Ending | null
  started_at: Date
  ended_at: Date | null
}

/** What stands for a run's database in locks and fences. */
export const resourceOf = ({ systemIdentifier, database }: Pick<RunRecord, 'systemIdentifier' | 'database'>): string =>
  `${systemIdentifier}/${database}`

/** Whether a session is in the run's database, and counted there. */
export const isOnDatabaseOf = (
  { systemIdentifier, databaseOids }: Pick<RunRecord, 'systemIdentifier' | 'databaseOids'>,
  session: Pick<OwnSession, 'systemIdentifier' | 'oid' | 'isStandby'>,
): boolean => !session.isStandby && session.systemIdentifier === systemIdentifier && databaseOids.includes(session.oid)

const record = (row: RunRow): RunRecord => ({
  name: row.name,
  project: row.project,
  environment: row.environment,
  kind: row.kind,
  lane: row.lane,
  systemIdentifier: row.system_identifier,
  database: row.database,
  databaseOids: row.database_oids,
  workflowId: row.workflow_id,
  workflowRunId: row.workflow_run_id,
  firstRunId: row.first_run_id ?? row.workflow_run_id,
  carrier: row.carrier ?? row.workflow_id,
  engine: row.engine,
  tag: row.tag ?? undefined,
  planDigest: row.plan_digest ?? undefined,
  requester: row.requested,
  state: row.state,
  gate: row.gate ?? undefined,
  gateSessions: row.gate_sessions === null ? undefined : BigInt(row.gate_sessions),
  gateCountedSince: row.gate_counted_since ?? undefined,
  contractStarted: row.contract_started_at !== null,
  outcome: row.outcome ?? undefined,
  ending: row.ending ?? undefined,
  startedAt: row.started_at,
  endedAt: row.ended_at ?? undefined,
})

export interface NewRun {
  name: string
  kind: RunKind
  lane: string
  workflowId: string
  workflowRunId: string
  firstRunId?: string | undefined
  carrier: string
  engine: string
  requester: Requester
  startedAt: string
  digest: string
  plan: Plan
}

/**
 * Opens the run and keeps its plan. The row is the lock: at most one open run per database and lane. Returns its name
 * (`-2` and so on is appended where two would fall into one second). Twice for one workflow execution is once.
 * Throws `RunOpen` naming the other run.
 */
export async function openRun(journal: Journal, run: NewRun): Promise<string> {
  const { bound, project, environment } = run.plan
  return journal.write(async (sql) => {
    await sql('select pg_advisory_xact_lock(hashtextextended($1, 1))', [resourceOf(bound)])
    // An ended one too: an attempt to plan that wakes up late must not open a run that nobody will end.
    const [mine] = await sql<{ name: string }>('select name from runs where workflow_run_id = $1', [run.workflowRunId])
    if (mine) return mine.name
    await requireNoOther(sql, bound.systemIdentifier, bound.database, run.lane)
    const taken = await sql<{ name: string }>('select name from runs where name = $1 or name like $2', [
      run.name,
      `${run.name}-%`,
    ])
    const name = taken.length === 0 ? run.name : `${run.name}-${taken.length + 1}`
    await sql('insert into plans (digest, body) values ($1, $2) on conflict do nothing', [
      run.digest,
      JSON.stringify(run.plan),
    ])
    await sql(
      `insert into runs (name, project, environment, kind, lane, system_identifier, database, database_oids, workflow_id,
         workflow_run_id, tag, plan_digest, requested, started_at, carrier, engine, first_run_id)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
      [
        name,
        project,
        environment,
        run.kind,
        run.lane,
        bound.systemIdentifier,
        bound.database,
        [bound.oid],
        run.workflowId,
        run.workflowRunId,
        run.plan.tag ?? null,
        run.digest,
        JSON.stringify(run.requester),
        run.startedAt,
        run.carrier,
        run.engine,
        run.firstRunId ?? null,
      ],
    )
    return name
  })
}

/** Throws `RunOpen` naming the run that is open on the database. */
export async function requireNoOther(sql: Statement, cluster: string, database: string, lane: string): Promise<void> {
  const [other] = await sql<{ name: string }>(
    `select name from runs where system_identifier = $1 and database = $2 and lane = $3 and state = 'open'`,
    [cluster, database, lane],
  )
  if (other) throw failure('RunOpen', `run ${other.name} is open on database ${database}`)
}

/** Throws `RunUnknown`. */
export async function findRun(journal: Journal, name: string): Promise<RunRecord> {
  const [row] = await journal.read<RunRow>('select * from runs where name = $1', [name])
  if (!row) throw failure('RunUnknown', `there is no run ${name} in the journal`)
  return record(row)
}

export async function isKnown(journal: Journal, name: string): Promise<boolean> {
  return (await journal.read('select from runs where name = $1', [name])).length > 0
}

export async function findPlan(journal: Journal, digest: string): Promise<Plan> {
  const [row] = await journal.read<{ body: unknown }>('select body from plans where digest = $1', [digest])
  if (!row) throw failure('RunUnknown', `there is no plan ${digest.slice(0, 12)} in the journal`)
  return Plan.parse(row.body)
}

/** The run that a workflow execution opened, if it did. */
export async function runOpenedBy(journal: Journal, workflowRunId: string): Promise<RunRecord | undefined> {
  const [row] = await journal.read<RunRow>('select * from runs where workflow_run_id = $1', [workflowRunId])
  return row ? record(row) : undefined
}

/** The run that the executions of one chain opened, the newest of them, if one did. */
export async function runOfChain(journal: Journal, firstRunId: string): Promise<RunRecord | undefined> {
  const [row] = await journal.read<RunRow>(
    'select * from runs where coalesce(first_run_id, workflow_run_id) = $1 order by started_at desc limit 1',
    [firstRunId],
  )
  return row ? record(row) : undefined
}

/** Newest first; `before` is the name of the last run of the page before. */
export async function listRuns(
  journal: Journal,
  project: string,
  environment: string,
  limit: number,
  before?: string,
): Promise<RunRecord[]> {
  const rows = await journal.read<RunRow>(
    `select * from runs where project = $1 and environment = $2
       and ($4::text is null or (started_at, name) < (select started_at, name from runs where name = $4))
     order by started_at desc, name desc limit $3`,
    [project, environment, limit, before ?? null],
  )
  return rows.map(record)
}

/** The open run of the environment's main lane, if any. */
export async function openRunOf(
  journal: Journal,
  project: string,
  environment: string,
): Promise<RunRecord | undefined> {
  const [row] = await journal.read<RunRow>(
    `select * from runs where project = $1 and environment = $2 and lane = 'main' and state = 'open' order by started_at desc limit 1`,
    [project, environment],
  )
  return row ? record(row) : undefined
}

/** Every open run of the environment, whatever its lane, oldest first. */
export async function openRunsOf(journal: Journal, project: string, environment: string): Promise<RunRecord[]> {
  const rows = await journal.read<RunRow>(
    `select * from runs where project = $1 and environment = $2 and state = 'open' order by started_at`,
    [project, environment],
  )
  return rows.map(record)
}

/**
 * Gives an open run to another workflow; what carried it until now may not act any more, and what was said of its end is void.
 * Returns whether it is the first time: twice for one carrier is once. Only where `from` carries it still; `unlessSaid`: and
 * nothing has been said of the run's end.
 */
export async function takeOverRun(
  journal: Journal,
  run: string,
  by: { carrier: string; engine: string },
  event: Record<string, unknown>,
  from: string,
  unlessSaid: boolean,
): Promise<boolean> {
  return journal.write(async (sql) => {
    const taken = await sql(
      `update runs set carrier = $2, engine = $3, outcome = null, cause = null, ending = null
       where name = $1 and state = 'open' and carrier is distinct from $2
         and coalesce(carrier, workflow_id) = $4 and not ($5 and outcome is not null) returning name`,
      [run, by.carrier, by.engine, from, unlessSaid],
    )
    if (taken.length === 0) return false
    await sql(`insert into events (run, type, body) values ($1, 'recover', $2)`, [run, JSON.stringify(event)])
    return true
  })
}

/** Puts another plan in the place of the one that became stale while the run waited, or that failed. */
export async function replacePlan(journal: Journal, run: string, digest: string, plan: Plan): Promise<void> {
  await journal.write(async (sql) => {
    await sql('insert into plans (digest, body) values ($1, $2) on conflict do nothing', [digest, JSON.stringify(plan)])
    await sql('update runs set plan_digest = $2, tag = $3 where name = $1', [run, digest, plan.tag ?? null])
  })
}

/** Proven closed: nobody but the run writes. `count` is the database's count of sessions at that moment. */
export async function recordGateClosed(
  journal: Journal,
  run: string,
  { sessions, since }: { sessions: bigint; since: string },
): Promise<void> {
  await journal.write(async (sql) => {
    await sql(`update runs set gate = 'closed', gate_sessions = $2, gate_counted_since = $3 where name = $1`, [
      run,
      sessions.toString(),
      since,
    ])
    await sql('delete from gate_sessions where run = $1', [run])
  })
}

/** The first point of no return. Recorded before the effect: intent counts as open. Twice is once. */
export async function recordGateOpen(journal: Journal, run: string): Promise<void> {
  await journal.write((sql) => sql(`update runs set gate = 'open', gate_sessions = null where name = $1`, [run]))
}

/** The second point of no return. Recorded before the first contract statement can commit. */
export async function recordContractStarted(journal: Journal, run: string, started: boolean): Promise<void> {
  await journal.write((sql) =>
    sql(
      `update runs set contract_started_at = case when $2 then coalesce(contract_started_at, clock_timestamp()) end where name = $1`,
      [run, started],
    ),
  )
}

/** Accepts one more oid for the run's database, before the swap that gives it. */
export async function recordOid(journal: Journal, run: string, oid: string): Promise<void> {
  await journal.write((sql) =>
    sql(
      'update runs set database_oids = array_append(database_oids, $2) where name = $1 and not $2 = any (database_oids)',
      [run, oid],
    ),
  )
}

/**
 * Ends the run; `needs-operator` that nobody accepted leaves it open: it blocks others until `recover` ends it. Twice is
 * once, and nothing where another workflow carries the run.
 */
export async function endRun(
  journal: Journal,
  run: string,
  ending: Ending,
  { carrier, evidence }: { carrier: string; evidence?: string | undefined },
): Promise<void> {
  const state = ending.outcome === 'needs-operator' && ending.acceptedBy === undefined ? 'open' : 'ended'
  await journal.write(async (sql) => {
    const ended = await sql(
      `update runs set outcome = $2, cause = $3, ending = $4, state = $5, ended_at = case when $5 = 'ended' then clock_timestamp() end
       where name = $1 and state = 'open' and carrier = $6 and ending is distinct from $4::jsonb returning name`,
      [run, ending.outcome, ending.cause ?? null, JSON.stringify(ending), state, carrier],
    )
    if (ended.length === 0) return
    const events = [
      ...(evidence === undefined ? [] : [{ type: 'evidence', body: { text: evidence } }]),
      { type: 'ended', body: { outcome: ending.outcome, reason: ending.reason } },
    ]
    for (const { type, body } of events)
      await sql('insert into events (run, type, body) values ($1, $2, $3)', [run, type, JSON.stringify(body)])
  })
}
