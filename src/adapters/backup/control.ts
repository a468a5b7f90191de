import type { Client } from 'pg'
import { withSession } from '../postgres/session.js'
import { type Target, withDatabase } from '../postgres/target.js'

const MAINTENANCE = 'postgres'

/** Databases are made, closed, renamed and dropped from here: never from inside them. */
export const withControl = <T>(
  target: Target,
  applicationName: string,
  work: (control: Client) => Promise<T>,
): Promise<T> => withSession(withDatabase(target, MAINTENANCE), { applicationName, statementTimeoutMs: 0 }, work)
