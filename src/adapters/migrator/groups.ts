import type { Migration } from '../../domain/migration.js'

/** Pending migrations that one call of a tool applies. */
export interface Group {
  versions: string[]
  transactional: boolean
  /** Where it is known. */
  sql: string[]
}

/** What one call of a tool takes back: down to `target`, exclusive. */
export interface GroupDown extends Group {
  target: string
}

/** The ways down as `groupsOf` has the ways up; the last one ends at `target`. */
export function groupsDownOf(ways: readonly Migration[], target: string): GroupDown[] {
  const groups = groupsOf(
    ways,
    ways.map(({ version }) => version),
  )
  return groups.map((group, index) => ({ ...group, target: groups[index + 1]?.versions[0] ?? target }))
}

/** All of them in one call, of a tool that stops nowhere in between: one that leaves its transaction has all of them out of it. */
export function asOneGroup(migrations: readonly Migration[], pending: readonly string[]): Group[] {
  const outside = migrations.filter(({ version, transactional }) => pending.includes(version) && !transactional)
  const sql = outside.flatMap((one) => (one.sql === undefined ? [] : [one.sql]))
  return pending.length === 0 ? [] : [{ versions: [...pending], transactional: outside.length === 0, sql }]
}

/**
 * The pending ones, in order. What leaves its transaction runs apart: it builds indexes concurrently, which a lock timeout
 * would only leave invalid.
 */
export function groupsOf(migrations: readonly Migration[], pending: readonly string[]): Group[] {
  const asked = new Set(pending)
  const found: Group[] = []
  for (const { version, transactional, sql } of migrations.filter((migration) => asked.has(migration.version))) {
    const last = found.at(-1)
    const current = transactional && last?.transactional ? last : { versions: [], transactional, sql: [] }
    if (current !== last) found.push(current)
    current.versions.push(version)
    if (sql !== undefined) current.sql.push(sql)
  }
  return found
}
