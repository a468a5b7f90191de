import { failure } from '../../domain/failures.js'
import type { RecordedContainer } from '../../domain/fence.js'
import { BY_HAND } from '../../domain/names.js'
import type { Journal, Statement } from './journal.js'

/** Raises the resource's epoch: from here on every older attempt must not act. */
export async function raiseEpoch(journal: Journal, resource: string, run: string, step: string): Promise<number> {
  const [row] = await journal.write((sql) =>
    sql<{ epoch: string }>(
      `insert into epochs (resource, epoch, run, step) values ($1, 1, $2, $3)
       on conflict (resource) do update set epoch = epochs.epoch + 1, run = $2, step = $3, raised_at = clock_timestamp()
       returning epoch`,
      [resource, run, step],
    ),
  )
  return Number(row?.epoch)
}

/** The resource's newest epoch; 0 when nobody has raised it yet. */
export async function currentEpoch(journal: Journal, resource: string): Promise<number> {
  const [row] = await journal.read<{ epoch: string }>('select epoch from epochs where resource = $1', [resource])
  return Number(row?.epoch ?? 0)
}

/** Who raised it last: an attempt at a step, which may not have come to the step's intent yet. Undefined when nobody has. */
export async function latestAttempt(
  journal: Journal,
  resource: string,
): Promise<{ epoch: number; step: string } | undefined> {
  const [row] = await journal.read<{ epoch: string; step: string }>(
    'select epoch, step from epochs where resource = $1',
    [resource],
  )
  return row && { epoch: Number(row.epoch), step: row.step }
}

/**
 * Holds the epoch until the transaction ends: who raises it waits, and sees what was written. Throws `FenceLost` when it has
 * been raised already.
 */
export async function requireEpoch(sql: Statement, resource: string, epoch: number): Promise<void> {
  const [held] = await sql('select from epochs where resource = $1 and epoch = $2 for share', [resource, epoch])
  if (!held) throw failure('FenceLost', `a later attempt has taken over: ${resource}`)
}

/**
 * Another run that is at work on the resource: its newest attempt's guard is connected, or it is between two steps behind the
 * closed gate. One that waits for an operator, or that a person has taken over by hand, is not at work.
 */
export async function otherHolder(
  journal: Journal,
  resource: string,
  run: string,
  scope: string,
): Promise<string | undefined> {
  const [other] = await journal.read<{ name: string }>(
    `select runs.name from runs left join epochs on epochs.run = runs.name and epochs.resource = $1
      where runs.system_identifier || '/' || runs.database = $1 and runs.name <> $2
        and runs.state = 'open' and runs.outcome is null and runs.carrier is distinct from $4
        and (runs.gate = 'closed' or exists (
          select from pg_stat_activity where application_name = 'hg:' || $3 || ':' || epochs.epoch || ':guard'))
      limit 1`,
    [resource, run, scope, BY_HAND],
  )
  return other?.name
}

export interface RecordedProcess {
  pid: number
  startTime: string
}

/** Records a process group of this attempt before it can do anything; by the attempt's own journal, so that none is recorded that a later attempt would not see. */
export async function recordProcess(
  journal: Journal,
  resource: string,
  epoch: number,
  host: string,
  process: RecordedProcess,
): Promise<void> {
  await journal.write((sql) =>
    sql(
      `insert into processes (resource, epoch, host, pid, start_time) values ($1, $2, $3, $4, $5) on conflict do nothing`,
      [resource, epoch, host, process.pid, process.startTime],
    ),
  )
}

/** As `recordProcess`. */
export async function recordContainer(
  journal: Journal,
  resource: string,
  epoch: number,
  { engine, engineId, name }: RecordedContainer,
): Promise<void> {
  await journal.write((sql) =>
    sql('insert into containers (resource, epoch, engine_id, name, engine) values ($1, $2, $3, $4, $5)', [
      ...[resource, epoch, engineId, name],
      JSON.stringify(engine),
    ]),
  )
}

/** Containers that older attempts started, whatever host they did so from. */
export const olderContainers = (journal: Journal, resource: string, epoch: number): Promise<RecordedContainer[]> =>
  journal.read<RecordedContainer>(
    'select name, engine, engine_id as "engineId" from containers where resource = $1 and epoch < $2',
    [resource, epoch],
  )

/** Once it is known to be gone. */
export async function forgetContainer(
  journal: Journal,
  resource: string,
  { engineId, name }: RecordedContainer,
): Promise<void> {
  await journal.write((sql) =>
    sql('delete from containers where resource = $1 and engine_id = $2 and name = $3', [resource, engineId, name]),
  )
}

/** Process groups that older attempts left on this host. */
export async function olderProcesses(
  journal: Journal,
  resource: string,
  epoch: number,
  host: string,
): Promise<RecordedProcess[]> {
  const rows = await journal.read<{ pid: number; start_time: string }>(
    'select pid, start_time from processes where resource = $1 and epoch < $2 and host = $3',
    [resource, epoch, host],
  )
  return rows.map((row) => ({ pid: row.pid, startTime: row.start_time }))
}

/** Forgets the process groups of attempts up to `epoch`, once they are known to be gone. */
export async function forgetProcesses(journal: Journal, resource: string, epoch: number, host: string): Promise<void> {
  const [known] = await journal.read(
    'select from processes where resource = $1 and epoch <= $2 and host = $3 limit 1',
    [resource, epoch, host],
  )
  if (known)
    await journal.write((sql) =>
      sql('delete from processes where resource = $1 and epoch <= $2 and host = $3', [resource, epoch, host]),
    )
}
