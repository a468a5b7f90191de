import { createHash } from 'node:crypto'
import type { Client } from 'pg'
import type { SchemaObject } from '../../domain/manifest.js'
import { withPinnedSettings } from './pinned-settings.js'
import { type SchemaReader, UNREADABLE } from './schema-expressions.js'
import { schemaQuery } from './schema-query.js'

/** Which way a state came to be where it is: a dump does not carry everything that a clone does. */
export type Way = 'clone' | 'dump'

/**
 * Every object of the session's database, database-level properties included, in one fixed order. Members of extensions
 * stand for themselves by the extension's version. Any role may run it; it takes no locks.
 */
export async function schemaObjects(session: Client): Promise<SchemaObject[]> {
  const { rows: reader } = await session.query<SchemaReader>(
    `select current_setting('server_version_num')::int as version, rolsuper as "isSuperuser" from pg_roles where rolname = current_user`,
  )
  return withPinnedSettings(session, async () => {
    const { rows } = await session.query<SchemaObject>(schemaQuery(reader[0] ?? { version: 0, isSuperuser: false }))
    return rows.sort((a, b) => compare(keyOf(a), keyOf(b)))
  })
}

/** SHA-256 over the objects, but for secrets: who reads decides whether they are there. */
export const schemaHash = (objects: readonly SchemaObject[]): string =>
  createHash('sha256')
    .update(
      JSON.stringify(
        objects
          .filter(({ kind }) => kind !== 'secret')
          .map(({ kind, identity, definition }) => [kind, identity, definition]),
      ),
    )
    .digest('hex')

/** One line for a person per object that differs from `a` to `b`; [] when equal. By way of a dump, without what it does not carry. */
export function schemaDifferences(
  a: readonly SchemaObject[],
  b: readonly SchemaObject[],
  way: Way = 'clone',
): string[] {
  const before = new Map(a.map((object) => [keyOf(object), object]))
  const after = new Map(b.map((object) => [keyOf(object), object]))
  return [...new Set([...before.keys(), ...after.keys()])].sort(compare).flatMap((key) => {
    const [was, is] = [before.get(key), after.get(key)]
    return way === 'dump' && isNotCarried(was, is) ? [] : describe(was, is)
  })
}

function describe(was: SchemaObject | undefined, is: SchemaObject | undefined): string[] {
  if (is === undefined) return was === undefined ? [] : [`${nameOf(was)}: removed`]
  if (was === undefined) return [`${nameOf(is)}: added`]
  if (was.definition === is.definition || isUnreadable(was) || isUnreadable(is)) return []
  return [`${nameOf(is)}: was ${was.definition}, is ${is.definition}`]
}

/** Owners that `pg_restore` does not set, and indexes that `pg_dump` leaves out because no query may use them. */
const isNotCarried = (was: SchemaObject | undefined, is: SchemaObject | undefined): boolean =>
  ['owner of extension', 'owner of multirange'].includes(was?.kind ?? is?.kind ?? '') ||
  (is === undefined && was?.kind === 'index' && was.definition.split('|').includes('invalid'))

const isUnreadable = ({ kind, definition }: SchemaObject): boolean => kind === 'secret' && definition === UNREADABLE

const keyOf = (object: SchemaObject): string => `${object.kind}\0${object.identity}`
const nameOf = (object: SchemaObject): string => `${object.kind} ${object.identity}`
/** By code units: no locale decides. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
