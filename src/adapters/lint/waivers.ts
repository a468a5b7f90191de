import type { PlannedMigration } from '../../domain/plan.js'
import { type Finding, RuleName, type Waiver } from '../../domain/review.js'

/** `-- headgate:waive RULE: reason`, in a comment of the file. */
const IN_FILE = /headgate:waive\s+([a-z-]+)\s*:[ \t]*(\S[^\n]*)/g

/** Those that stand in the migration's file, then those of the configuration that are meant for it. */
export function waiversOf({ version, sql = '' }: PlannedMigration, configured: readonly Waiver[]): Waiver[] {
  const inFile = [...sql.matchAll(IN_FILE)].flatMap(([, rule, reason = '']) => {
    const { data } = RuleName.safeParse(rule)
    return data === undefined ? [] : [{ rule: data, reason: reason.replace(/\*\/\s*$/, '').trim() }]
  })
  return [...inFile, ...configured.filter((waiver) => waiver.version === undefined || waiver.version === version)]
}

/** A finding that is let through is a note, with its reason. */
export function waivedOr(finding: Finding, waivers: readonly Waiver[]): Finding {
  const applies = waivers.find(({ rule }) => rule === finding.rule)
  return applies === undefined ? finding : { ...finding, level: 'note', waived: applies.reason }
}
