import type { Client } from 'pg'
import type { Fence } from '../../domain/fence.js'
import { restoreName } from '../../domain/names.js'
import { cloneDatabase, dropDatabase } from '../postgres/clone.js'
import { propertyStatements } from '../postgres/database-properties.js'
import { closeDatabase, endSessions, reopenDatabase } from '../postgres/gate.js'
import { quoteIdentifier } from '../postgres/session.js'
import { databaseOid, swapDatabases } from '../postgres/swap.js'
import { createLike } from './create-like.js'
import { dropScratch, seedOf } from './scratch.js'

/** A database that is made beside and takes the name at the end. */
export interface FreshRequest {
  database: string
  /** Who works in it; where it replaces one, that one's owner. */
  owner: string
  /** What is there under its name: nothing, one that is empty but for what an operator put in (extensions, rights), or one to be dropped. */
  instead: 'nothing' | 'empty' | 'old'
  run: string
  startedAt: Date
}

const END_WITHIN_MS = 10_000

const besideName = ({ database, startedAt, run }: FreshRequest): string =>
  restoreName(database, startedAt, seedOf({ run, stage: 0 }))
/** The one that is dropped has this name until it is. */
const oldName = ({ database, startedAt, run }: FreshRequest): string => restoreName(database, startedAt, `${run}/old`)

/** Makes it, open, and returns its name; what an earlier attempt of the run left is dropped first. */
export async function makeFresh(control: Client, request: FreshRequest, fence: Fence): Promise<string> {
  const { database, owner, instead, run } = request
  const name = besideName(request)
  await dropScratch(control, database, { run, stage: 0 }, fence)
  await fence.check()
  if (instead === 'nothing') {
    await control.query(`create database ${quoteIdentifier(name)} owner ${quoteIdentifier(owner)}`)
    return name
  }
  if (instead === 'old') await createLike(control, database, name)
  else {
    await closeDatabase(control, database, fence)
    await endSessions(control, database, { withinMs: END_WITHIN_MS }, fence)
    await cloneDatabase(control, database, name, fence).finally(() => reopenDatabase(control, database, fence))
  }
  await reopenDatabase(control, name, fence)
  return name
}

/** Gives it the name, in one transaction, with the properties of the one that it replaces; `onOid` is told its oid before. Then that one is dropped. */
export async function putFresh(
  control: Client,
  request: FreshRequest,
  onOid: (oid: string) => Promise<void>,
  fence: Fence,
): Promise<void> {
  const { database, instead } = request
  const replacement = besideName(request)
  const replacementOid = (await databaseOid(control, replacement)) ?? ''
  await onOid(replacementOid)
  const liveOid = await databaseOid(control, database)
  if (instead === 'nothing' || liveOid === undefined) {
    await closeDatabase(control, replacement, fence)
    await endSessions(control, replacement, { withinMs: END_WITHIN_MS }, fence)
    await fence.check()
    await control.query(
      `begin; alter database ${quoteIdentifier(replacement)} rename to ${quoteIdentifier(database)};
       alter database ${quoteIdentifier(database)} allow_connections true; commit`,
    )
    return
  }
  const properties = await propertyStatements(control, database)
  const swap = { live: database, replacement, quarantine: oldName(request), liveOid, replacementOid, properties }
  await swapDatabases(control, swap, fence)
  await dropOld(control, request, fence)
}

/** Twice is once: an attempt may have died right after the new one had the name. */
export const dropOld = (control: Client, request: FreshRequest, fence: Fence): Promise<void> =>
  dropDatabase(control, oldName(request), fence)

/** What did not come to be. */
export const dropFresh = (control: Client, request: FreshRequest, fence: Fence): Promise<void> =>
  dropScratch(control, request.database, { run: request.run, stage: 0 }, fence)
