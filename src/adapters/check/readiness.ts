import { z } from 'zod'
import { excerpt } from '../../domain/excerpt.js'
import type { CheckContext } from './port.js'

const SubCheck = z.object({ name: z.string(), ok: z.boolean(), detail: z.unknown().optional() })
type SubCheck = z.infer<typeof SubCheck>
const Readiness = z.object({ ok: z.boolean(), checks: z.array(SubCheck).default([]) })

/** A migrator's versions are texts or numbers. */
const VersionDetail = z.object({ current_version: z.union([z.string(), z.number()]) })

type Expectation = Pick<CheckContext, 'expectedVersion' | 'ignoring'> & {
  /** Name of the sub-check that tells the schema's version. */
  versionCheck: string
  secrets: readonly string[]
}

/**
 * Judges one answer: `{ ok, checks: [{ name, ok, detail }] }`, or anything else, of which the status is all there is to
 * judge. The version is compared with the stage's, not with the service's own head: a service that waits for its contract
 * migrations says `ok: false` and is ready all the same, and one that says `ok` about another schema is not.
 */
export function judgeReadiness(
  { status, body }: { status: number; body: string },
  expectation: Expectation,
): { ok: boolean; found: string } {
  const readiness = Readiness.safeParse(jsonOf(body))
  if (!readiness.success) return { ok: status === 200, found: `HTTP ${status}, no version seen` }
  const { ok, checks } = readiness.data
  const version = versionIn(checks, expectation)
  const failing = checks.filter((check) => !passes(check, expectation))
  const isWrongVersion = version !== undefined && (expectation.expectedVersion ?? version) !== version
  // A service that says no without saying why has nothing that could be set aside.
  const isExcused = [200, 503].includes(status) && failing.length === 0 && checks.some((check) => !check.ok)
  const isReady = !isWrongVersion && ((status === 200 && ok) || isExcused)
  const parts = [`HTTP ${status}`, version === undefined ? 'no version seen' : `version ${version}`]
  if (isWrongVersion) parts.push(`expected version ${expectation.expectedVersion}`)
  if (failing.length > 0) parts.push(`not ok: ${failing.map((check) => check.name).join(', ')}`)
  const aside = checks.filter((check) => !check.ok && !failing.includes(check))
  if (aside.length > 0) parts.push(`set aside: ${aside.map((check) => check.name).join(', ')}`)
  return { ok: isReady, found: excerpt(parts.join(', '), expectation.secrets) }
}

function passes(check: SubCheck, { expectedVersion, versionCheck, ignoring }: Expectation): boolean {
  const version = check.name === versionCheck ? versionOf(check) : undefined
  if (version !== undefined && expectedVersion !== undefined) return version === expectedVersion
  return check.ok || ignoring.includes(check.name)
}

function versionIn(checks: readonly SubCheck[], { versionCheck }: Expectation): string | undefined {
  const check = checks.find(({ name }) => name === versionCheck)
  return check && versionOf(check)
}

function versionOf(check: SubCheck): string | undefined {
  const detail = VersionDetail.safeParse(check.detail)
  return detail.success ? String(detail.data.current_version) : undefined
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
