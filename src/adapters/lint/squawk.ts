import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { failedWith, messageOf } from '../../domain/failures.js'
import type { PlannedMigration } from '../../domain/plan.js'
import type { Finding, Waiver } from '../../domain/review.js'
import { plain } from '../../domain/text.js'
import { runProgram } from '../process/run.js'
import { waivedOr, waiversOf } from './waivers.js'

/** What `squawk --reporter json` prints; lines are from 0. */
const Answer = z.array(
  z.object({
    file: z.string(),
    line: z.int(),
    message: z.string(),
    help: z.string().nullish(),
    rule_name: z.string(),
  }),
)

/**
 * What our own rules look at with sizes, phases and transactions in view, and what the lock guard sees to: squawk knows of
 * none of it. squawkhq.com/docs/rules (2.70).
 */
const OURS: ReadonlySet<string> = new Set([
  ...['require-lock-timeout', 'require-statement-timeout', 'prefer-robust-stmts', 'syntax-error'],
  ...['require-concurrent-index-creation', 'require-concurrent-index-deletion', 'require-concurrent-reindex'],
  ...['ban-concurrent-index-creation-in-transaction', 'adding-not-nullable-field', 'adding-required-field'],
  ...['adding-field-with-default', 'adding-serial-primary-key-field', 'adding-foreign-key-constraint'],
  ...['changing-column-type', 'constraint-missing-not-valid', 'disallowed-unique-constraint'],
  ...['ban-drop-column', 'ban-drop-table', 'renaming-column', 'renaming-table'],
  ...['ban-alter-domain-with-add-constraint', 'require-enum-value-ordering'],
])
const WITHIN_MS = 60_000
/** As our own: the answer crosses Temporal. */
const MOST = 1_000

export interface SquawkOptions {
  command: readonly string[]
  /** Where its own `.squawk.toml` may be. */
  directory: string
  serverMajor: number
  waivers: readonly Waiver[]
}

/** What squawk finds beside our own rules, in the order of the migrations. Nothing where it is not installed; where it fails, that. */
export async function squawkFindings(
  migrations: readonly PlannedMigration[],
  options: SquawkOptions,
  signal: AbortSignal,
): Promise<Finding[]> {
  const seen = migrations.filter(({ sql }) => sql !== undefined)
  const groups = [true, false].map((transactional) => seen.filter((one) => one.transactional === transactional))
  try {
    return (await Promise.all(groups.map((group) => ask(group, options, signal)))).flat().slice(0, MOST)
  } catch (error) {
    if (failedWith(error, 'ToolMissing')) return []
    signal.throwIfAborted()
    const text = `squawk could not be asked: ${messageOf(error)}`
    return seen.slice(0, 1).map(({ version }) => ({ rule: 'squawk', version, line: 1, level: 'note', text }))
  }
}

async function ask(
  migrations: readonly PlannedMigration[],
  { command, directory, serverMajor, waivers }: SquawkOptions,
  signal: AbortSignal,
): Promise<Finding[]> {
  const [first] = migrations
  if (!first) return []
  const folder = await mkdtemp(join(tmpdir(), 'headgate-squawk-'))
  try {
    const names = migrations.map((_, n) => `${n}.sql`)
    await Promise.all(migrations.map(({ sql = '' }, n) => writeFile(join(folder, `${n}.sql`), sql)))
    const config = join(directory, '.squawk.toml')
    const lines: string[] = []
    const { exitCode, stderr } = await runProgram(
      {
        name: 'squawk',
        command: [
          ...command,
          ...['--reporter', 'json', '--pg-version', String(serverMajor)],
          ...(first.transactional ? ['--assume-in-transaction'] : []),
          ...(existsSync(config) ? ['--config', config] : []),
          ...names,
        ],
        cwd: folder,
        timeoutMs: WITHIN_MS,
        onAnswer: (line) => lines.push(line),
      },
      signal,
    )
    // 1: it has found something.
    if (exitCode > 1) throw new Error(stderr.trim() || `exit ${exitCode}`)
    return Answer.parse(JSON.parse(lines.join('\n'))).flatMap(({ file, line, message, help, rule_name: rule }) => {
      const migration = migrations[Number.parseInt(file, 10)]
      if (!migration || OURS.has(rule)) return []
      const text = plain(`${rule}: ${message}${help ? ` ${help}` : ''}`).replace(/\s+/g, ' ')
      const finding: Finding = { rule: 'squawk', version: migration.version, line: line + 1, level: 'warn', text }
      return [waivedOr(finding, waiversOf(migration, waivers))]
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
