import type { Client } from 'pg'
import { openSession, quoteIdentifier, withSession } from '../../src/adapters/postgres/session.js'
import { type Target, targetUrl, withDatabase } from '../../src/adapters/postgres/target.js'
import { FILE_MARK } from './file-mark.js'
import { postgresPort } from './ground.js'

/** The server that this file stands on, as its superuser. */
export const serverTarget = (database = 'postgres'): Target => ({
  host: '127.0.0.1',
  port: postgresPort(),
  database,
  user: 'postgres',
  password: undefined,
  sslmode: 'disable',
  sslrootcert: undefined,
})

export interface TestDatabase {
  name: string
  target: Target
  url: string
}

let made = 0

/** A new database, by default named `t<mark>_<n>`. Stays until the server does: it is thrown away with it. */
export async function createDatabase(name?: string, template?: string): Promise<TestDatabase> {
  made += 1
  const database = name ?? `t${FILE_MARK}_${made}`
  await withControl((control) =>
    control.query(
      `create database ${quoteIdentifier(database)}${template ? ` template ${quoteIdentifier(template)}` : ''}`,
    ),
  )
  const target = withDatabase(serverTarget(), database)
  return { name: database, target, url: targetUrl(target) }
}

/** A session on the maintenance database. */
export const openControl = (): Promise<Client> => openSession(serverTarget(), { applicationName: 'test control' })

/** Lets sessions into a database, or nobody. */
export const setOpen = (name: string, open: boolean): Promise<unknown> =>
  withControl((control) => control.query(`alter database ${quoteIdentifier(name)} allow_connections ${open}`))

export const withControl = <T>(work: (control: Client) => Promise<T>): Promise<T> =>
  withSession(serverTarget(), { applicationName: 'test control' }, work)
