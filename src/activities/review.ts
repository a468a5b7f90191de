import { review } from '../adapters/lint/index.js'
import { failure } from '../domain/failures.js'
import type { Plan } from '../domain/plan.js'
import { type Finding, RULES, type Review } from '../domain/review.js'
import { lookInto } from './look-into.js'
import type { Site } from './site.js'

/** Looks at the plan's migrations before they run; changes nothing. */
export async function reviewOf(site: Site, plan: Plan): Promise<Review> {
  const { lint } = site.configuration
  const migrations = plan.stages.flatMap((stage) => stage.migrations)
  if (migrations.length === 0) return { findings: [], locks: [], unread: [] }
  const options = {
    hasPrevious: plan.services.some(({ previous }) => previous !== undefined),
    isGateClosed: plan.quiesces.length > 0,
    longestMs: lint.longest,
    waivers: lint.waive,
  }
  return lookInto(site, site.reader, 'headgate review', (session) => review(migrations, options, session))
}

/** What keeps a run from beginning, one line each: what is found, and what to write instead. */
export function blocking({ configuration }: Site, { findings }: Review): string[] {
  const { level = configuration.protected ? 'stop' : 'warn' } = configuration.lint
  return level === 'stop' ? findings.filter((finding) => finding.level === 'stop').map(inOneLine) : []
}

const inOneLine = ({ version, line, rule, text }: Finding): string =>
  `${version}, line ${line}: ${text}; instead: ${RULES[rule].instead} (${rule})`

/** Throws `LintFailed` where the review stops the run. Returns what it found otherwise, in words; undefined for nothing. */
export async function requireReviewed(site: Site, plan: Plan): Promise<string | undefined> {
  if (site.configuration.lint.level === 'off') return undefined
  const found = await reviewOf(site, plan)
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
