import type { Migration } from '../../domain/migration.js'
import type { PlannedMigration } from '../../domain/plan.js'
import type { Finding, Waiver } from '../../domain/review.js'
import { waivedOr, waiversOf } from './waivers.js'

/** Of each of `planned` whose SQL its tool could not print: why, and whether the migration would fail of that too. `files`: as the migrator tells them. */
export function unreadFindings(
  planned: readonly PlannedMigration[],
  files: readonly Migration[],
  waivers: readonly Waiver[],
): Finding[] {
  const reasons = new Map(files.map(({ version, unread }) => [version, unread]))
  return planned.flatMap((migration) => {
    const { version } = migration
    const unread = reasons.get(version)
    if (unread === undefined) return []
    const { text, line, isCertain } = unread
    const finding: Finding = isCertain
      ? { rule: 'missing-name', version, line, level: 'stop', text: `it fails: ${text}` }
      : { rule: 'not-read', version, line, level: 'warn', text: `its SQL cannot be had: ${text}` }
    return [waivedOr(finding, waiversOf(migration, waivers))]
  })
}
