import { failure } from '../../domain/failures.js'
import { ServiceChange } from '../../domain/service-call.js'
import type { Journal } from './journal.js'

/** A change that an attempt asks of a service on another host. */
export interface RecordedChange {
  resource: string
  epoch: number
  run: string
  service: string
  change: ServiceChange
}

/** Returns the id by which the worker there finds it. By the attempt's own journal: one that has lost the fence asks for nothing. */
export async function recordServiceChange(
  journal: Journal,
  { resource, epoch, run, service, change }: RecordedChange,
): Promise<string> {
  const [row] = await journal.write((sql) =>
    sql<{ id: string }>(
      'insert into service_changes (resource, epoch, run, service, change) values ($1, $2, $3, $4, $5) returning id',
      [resource, epoch, run, service, JSON.stringify(change)],
    ),
  )
  return row?.id ?? ''
}

/** Takes it up, by the journal of who has joined the attempt. Throws `InputInvalid` where that was done before: each is made once. */
export async function takeServiceChange(journal: Journal, id: string): Promise<void> {
  const taken = await journal.write((sql) =>
    sql('update service_changes set taken_at = clock_timestamp() where id = $1 and taken_at is null returning id', [
      id,
    ]),
  )
  if (taken.length === 0) throw failure('InputInvalid', `the change ${id} was made before`)
}

/** Throws `InputInvalid` where nobody has asked for it. */
export async function findServiceChange(journal: Journal, id: string): Promise<RecordedChange> {
  const [row] = await journal.read<Omit<RecordedChange, 'epoch' | 'change'> & { epoch: string; change: unknown }>(
    'select resource, epoch, run, service, change from service_changes where id = $1',
    [id],
  )
  if (!row) throw failure('InputInvalid', `no run has asked for the change ${id}`)
  return { ...row, epoch: Number(row.epoch), change: ServiceChange.parse(row.change) }
}
