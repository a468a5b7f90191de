import type { Client } from 'pg'
import { serverMajorOf } from '../adapters/lint/facts.js'
import { review } from '../adapters/lint/index.js'
import { squawkFindings } from '../adapters/lint/squawk.js'
import { unreadFindings } from '../adapters/lint/unread.js'
import { FAILURES, failure, knownFailure, messageOf } from '../domain/failures.js'
import type { Migration } from '../domain/migration.js'
import { type Plan, type PlannedMigration, toApply } from '../domain/plan.js'
import { type Finding, NOTHING_REVIEWED, RULES, type Review } from '../domain/review.js'
import { redact } from '../domain/text.js'
import { lookInto } from './look-into.js'
import type { Site } from './site.js'

/** Looks at the plan's migrations before they run; changes nothing. */
export async function reviewOf(site: Site, plan: Plan, signal: AbortSignal): Promise<Review> {
  const { lint } = site.configuration
  const planned = toApply(plan)
  if (planned.length === 0) return NOTHING_REVIEWED
  const files = await site.migrator.migrations(plan.tag ?? '', {
    exists: true,
    applied: plan.applied.map(({ version }) => ({ version })),
  })
  const migrations = asWritten(planned, files)
  const options = {
    hasPrevious: plan.services.some(({ previous }) => previous !== undefined),
    isGateClosed: plan.quiesces.length > 0 || plan.blocks !== undefined,
    longestMs: lint.longest,
    waivers: lint.waive,
    sharesTransaction: site.migrator.sharesTransaction ?? false,
    waysDown: await waysDownOf(site, plan, migrations, files),
  }
  const path = await lookInto(site, site.target, 'headgate review', searchPath)
  let serverMajor = 0
  const found = await lookInto(site, site.reader, 'headgate review', async (session) => {
    serverMajor = await serverMajorOf(session)
    // Names lead where they lead the migrator.
    await session.query(`select set_config('search_path', $1, false)`, [path])
    return review(migrations, options, session)
  })
  const squawked =
    lint.squawk === false
      ? []
      : await squawkFindings(
          migrations,
          { command: lint.squawk, directory: site.directory, serverMajor, waivers: lint.waive },
          signal,
        )
  const findings = [...found.findings, ...unreadFindings(migrations, files, lint.waive), ...squawked].map(
    (finding) => ({
      ...finding,
      text: redact(finding.text, site.secrets),
    }),
  )
  return { ...found, findings }
}

/** The plan's SQL is without secrets, and may be none any more for that: what is read is what is applied. */
function asWritten(planned: readonly PlannedMigration[], found: readonly Migration[]): PlannedMigration[] {
  const files = new Map(found.map((file) => [file.version, file]))
  return planned.map((migration) => {
    const file = files.get(migration.version)
    return file?.sql !== undefined && file.checksum === migration.checksum ? { ...migration, sql: file.sql } : migration
  })
}

/** What the review looks for in a way down is an enum that the way up makes. */
const MAKES_ENUM = /\bas\s+enum\b/i

/** The SQL of the ways down of what is planned, as far back as there are any: it only adds to what is found. */
async function waysDownOf(
  { migrator }: Site,
  { tag = '', from = '' }: Plan,
  planned: readonly PlannedMigration[],
  files: readonly Migration[],
): Promise<Map<string, string>> {
  if (!planned.some(({ sql = '' }) => MAKES_ENUM.test(sql))) return new Map()
  const oneWay = planned.findLast(({ hasDown }) => !hasDown)?.version
  if (!migrator.waysDown || planned.at(-1)?.version === oneWay) return new Map()
  // As if all of the release were applied.
  const ways = await migrator
    .waysDown({ tag, target: oneWay ?? from }, { exists: true, applied: [...files] })
    .catch(() => [])
  return new Map(ways.flatMap(({ version, sql }) => (sql === undefined ? [] : [[version, sql] as const])))
}

async function searchPath(session: Client): Promise<string> {
  const { rows } = await session.query<{ path: string }>(
    `select string_agg(quote_ident(name), ', ') as path from unnest(current_schemas(false)) as name`,
  )
  return rows[0]?.path ?? ''
}

/** What keeps a run from beginning, one line each: what is found, and what to write instead; or that nothing could be looked at. */
export function blocking({ configuration }: Site, { findings, failed }: Review): string[] {
  if (configuration.lint.level !== 'stop') return []
  const stops = findings.filter(({ level }) => level === 'stop').map(inOneLine)
  return failed === undefined ? stops : [...stops, failed]
}

export const notReviewed = (error: unknown): string => `the migrations could not be reviewed: ${messageOf(error)}`

const inOneLine = ({ version, line, rule, text }: Finding): string =>
  `${version}, line ${line}: ${text}; instead: ${RULES[rule].instead} (${rule})`

/**
 * Throws `LintFailed` where the review stops the run. Returns what it found otherwise, in words; undefined for nothing. A
 * review that fails stops it like a finding; where nothing may be stopped, it is told of, and stops nothing either.
 */
export async function requireReviewed(site: Site, plan: Plan, signal: AbortSignal): Promise<string | undefined> {
  const { level } = site.configuration.lint
  if (level === 'off') return undefined
  const found = await reviewOf(site, plan, signal).catch((error: unknown) => {
    signal.throwIfAborted()
    // What may pass by itself is tried again, as anywhere.
    if (level === 'stop') throw mayPass(error) ? error : refusal(error)
    return notReviewed(error)
  })
  return typeof found === 'string' ? found : reviewed(site, found)
}

function mayPass(error: unknown): boolean {
  const known = knownFailure(error)
  return known !== undefined && FAILURES[known.code].retryable
}

/** Without its cause: of two failures the inner one would be told. */
const refusal = (error: unknown): Error =>
  failure('LintFailed', notReviewed(error), undefined, {
    changed: 'nothing was changed',
    hint: 'see to it that they can be reviewed, or let nothing be stopped by it (lint.level: warn)',
  })

function reviewed(site: Site, found: Review): string | undefined {
  const stops = blocking(site, found)
  const [first] = stops
  if (first !== undefined)
    throw failure('LintFailed', stops.length === 1 ? first : `${first}, and ${stops.length - 1} more`, undefined, {
      changed: 'nothing was changed',
      evidence: stops.join('\n'),
    })
  const told = found.findings.filter(({ level, waived }) => level !== 'note' || waived !== undefined)
  if (told.length === 0) return undefined
  return told
    .map((finding) =>
      finding.waived === undefined ? inOneLine(finding) : `${inOneLine(finding)}; waived: ${finding.waived}`,
    )
    .join('; ')
    .slice(0, 8_000)
}
