import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { cloneName, restoreName } from '../../domain/names.js'
import { dropDatabase } from '../postgres/clone.js'
import { quoteIdentifier } from '../postgres/session.js'
import type { BackupIdentity } from './port.js'

type Owner = Pick<BackupIdentity, 'run' | 'stage'>

/** What the names of one owner's databases are made of. */
export const seedOf = ({ run, stage }: Owner): string => `${run}/${stage}`

/** Names of a clone: while it is made, when nobody may take it for a backup, and once it is proven. The same for the same backup. */
export function namesOfClone(database: string, identity: Owner & { name: string }): { scratch: string; kept: string } {
  const at = takenAt(identity.name)
  return { scratch: restoreName(database, at, seedOf(identity)), kept: cloneName(database, at, seedOf(identity)) }
}

/** The time in a backup's name: the clone's name is made of it, so that it is found again. */
function takenAt(name: string): Date {
  const digits = /(\d{4})(\d{2})(\d{2})_(\d{2})(\d{2})(\d{2})-s\d+e\d+$/.exec(name)?.slice(1).map(Number)
  if (!digits) throw failure('StateUnexpected', `${JSON.stringify(name)} is no name of a backup`)
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = digits
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second))
}

/** Drops the databases that unfinished attempts of this run and stage left. A kept clone is none of them. */
export async function dropScratch(control: Client, database: string, owner: Owner, fence: Fence): Promise<void> {
  for (const name of await ownNames(control, restoreName(database, new Date(0), seedOf(owner)))) {
    await dropOwn(control, name, fence)
  }
}

/**
 * Drops clones that earlier attempts of this very run and stage finished: the one being taken replaces them, and the
 * disk may not hold two. Only younger ones than the run: the hash in a name is short.
 */
export async function dropReplaced(control: Client, database: string, owner: Owner, fence: Fence): Promise<void> {
  const since = /-\d{2}(\d{6})-(\d{6})(?:-\d{1,3})?$/.exec(owner.run)
  const started = since ? `${since[1]}${since[2]}` : '999999999999'
  for (const name of await ownNames(control, cloneName(database, new Date(0), seedOf(owner)))) {
    if (name.slice(-17, -5) >= started) await dropOwn(control, name, fence)
  }
}

/** Drops one, a template too. */
export async function dropOwn(control: Client, name: string, fence: Fence): Promise<void> {
  const { rows } = await control.query('select from pg_database where datname = $1 and datistemplate', [name])
  if (rows.length > 0) {
    await fence.check()
    await control.query(`alter database ${quoteIdentifier(name)} is_template false`)
  }
  await dropDatabase(control, name, fence)
}

/** Databases whose name differs from `example` in the time alone. */
async function ownNames(control: Client, example: string): Promise<string[]> {
  const [prefix, suffix] = [example.slice(0, -17), example.slice(-5)]
  const { rows } = await control.query<{ name: string }>('select datname::text as name from pg_database order by 1')
  const isOwn = (name: string): boolean =>
    name.length === example.length &&
    name.startsWith(prefix) &&
    name.endsWith(suffix) &&
    /^\d{12}$/.test(name.slice(-17, -5))
  return rows.map(({ name }) => name).filter(isOwn)
}
