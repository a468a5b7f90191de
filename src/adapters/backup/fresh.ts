import type { Client } from 'pg'
import { failure } from '../../domain/failures.js'
import type { Fence } from '../../domain/fence.js'
import { restoreName } from '../../domain/names.js'
import { NO_DATABASE } from '../../domain/plan.js'
import { cloneDatabase, dropDatabase } from '../postgres/clone.js'
import { applyProperties, propertyStatements } from '../postgres/database-properties.js'
import { closeDatabase, endSessions, reopenDatabase } from '../postgres/gate.js'
import { quoteIdentifier, sqlState } from '../postgres/session.js'
import { databaseOid, swapDatabases } from '../postgres/swap.js'
import { createLike } from './create-like.js'
import { dropScratch, seedOf } from './scratch.js'

/** A database that is made beside and takes the name at the end. */
export interface FreshRequest {
  database: string
  /** Of the database that has the name now, and none other: `NO_DATABASE` where there is none. */
  oid: string
  /** Who works in it, where it replaces none; else that one's owner does. */
  owner: string
  /** What it replaces: nothing, one that is empty but for what an operator put in (extensions, rights), or one to be dropped. */
  instead: 'nothing' | 'empty' | 'old'
  run: string
  startedAt: Date
}

const END_WITHIN_MS = 10_000
/** SQLSTATE duplicate_database. */
const NAME_TAKEN = '42P04'

const besideName = ({ database, startedAt, run }: FreshRequest): string =>
  restoreName(database, startedAt, seedOf({ run, stage: 0 }))
/** The one that is dropped has this name until it is. */
const oldName = ({ database, startedAt, run }: FreshRequest): string => restoreName(database, startedAt, `${run}/old`)

/**
 * Makes it, open, and returns its name; what an earlier attempt of the run left is dropped first. The one that it replaces must be
 * closed, and nobody in it. Throws `DatabaseWrong` where another one has the name by now.
 */
export async function makeFresh(control: Client, request: FreshRequest, fence: Fence): Promise<string> {
  const { database, owner, instead } = request
  const name = besideName(request)
  await dropFresh(control, request, fence)
  await requireSame(control, request)
  await fence.check()
  if (instead === 'nothing') {
    await control.query(`create database ${quoteIdentifier(name)} owner ${quoteIdentifier(owner)}`)
    return name
  }
  const properties = await propertyStatements(control, database)
  if (instead === 'old') await createLike(control, database, name)
  else await cloneDatabase(control, database, name, fence)
  // Already now: the schema may depend on a search path, and who owns the database on who may create in it.
  await applyProperties(control, properties, name, fence)
  await reopenDatabase(control, name, fence)
  return name
}

/**
 * Gives it the name, in one transaction, with the properties of the one that it replaces; `onOid` is told its oid before. Then that one is dropped.
 * Throws `DatabaseWrong` where another one has the name by now.
 */
export async function putFresh(
  control: Client,
  request: FreshRequest,
  onOid: (oid: string) => Promise<void>,
  fence: Fence,
): Promise<void> {
  const { database, oid: liveOid, instead } = request
  const replacement = besideName(request)
  const replacementOid = await databaseOid(control, replacement)
  if (replacementOid === undefined) throw failure('StateUnexpected', `database ${replacement} is not there`)
  await requireSame(control, request)
  await onOid(replacementOid)
  if (instead === 'nothing') return giveName(control, database, replacement, fence)
  const properties = await propertyStatements(control, database)
  const swap = { live: database, replacement, quarantine: oldName(request), liveOid, replacementOid, properties }
  await swapDatabases(control, swap, fence)
  await dropOld(control, request, fence)
}

async function giveName(control: Client, database: string, replacement: string, fence: Fence): Promise<void> {
  await closeDatabase(control, replacement, fence)
  await endSessions(control, replacement, { withinMs: END_WITHIN_MS }, fence)
  await fence.check()
  try {
    await control.query(
      `begin; alter database ${quoteIdentifier(replacement)} rename to ${quoteIdentifier(database)};
       alter database ${quoteIdentifier(database)} allow_connections true; commit`,
    )
  } catch (error) {
    await control.query('rollback').catch(() => {})
    throw sqlState(error) === NAME_TAKEN ? anotherOne(database) : error
  }
}

async function requireSame(control: Client, { database, oid }: FreshRequest): Promise<void> {
  if (((await databaseOid(control, database)) ?? NO_DATABASE) !== oid) throw anotherOne(database)
}

const anotherOne = (database: string): Error =>
  failure('DatabaseWrong', `somebody has made or replaced database ${database} since the plan was made`)

/** Twice is once: an attempt may have died right after the new one had the name. */
export const dropOld = (control: Client, request: FreshRequest, fence: Fence): Promise<void> =>
  dropDatabase(control, oldName(request), fence)

/** What did not come to be. */
export const dropFresh = (control: Client, { database, run }: FreshRequest, fence: Fence): Promise<void> =>
  dropScratch(control, database, { run, stage: 0 }, fence)
