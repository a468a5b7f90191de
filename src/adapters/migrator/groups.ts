import type { Migration } from '../../domain/migration.js'

/** Pending migrations that one call of a tool applies. */
export interface Group {
  versions: string[]
  transactional: boolean
  /** Where it is known. */
  sql: string[]
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
