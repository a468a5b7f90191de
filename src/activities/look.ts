import { listBackups, recordBackup } from '../adapters/journal/backups.js'
import { findPlan, findRun, listRuns } from '../adapters/journal/runs.js'
import { failedWith, messageOf } from '../domain/failures.js'
import type { LookAnswers } from '../domain/look.js'
import { findBackup } from './find-backup.js'
import { backupSummary, reportOf } from './journaled-report.js'
import { lookDoctor } from './look-doctor.js'
import { lookEvidence } from './look-evidence.js'
import { lookInto } from './look-into.js'
import { lookRehearse } from './look-rehearse.js'
import { type Answer, LARGEST_BYTES, looking } from './looking.js'
import { editedLines, editedSince } from './edited-since.js'
import { mismatches, requireTag } from './make-plan.js'
import type { Plan } from '../domain/plan.js'
import { NOTHING_REVIEWED } from '../domain/review.js'
import { digestOf } from './plan.js'
import { previewFix } from './plan-fix.js'
import { planFor } from './plan-kinds.js'
import { blocking, notReviewed, reviewOf } from './review.js'
import { rehearsedOf } from './rehearsed.js'
import type { Dependencies, Site } from './site.js'

/** Rows of one page: an answer stays far below the 2 MB that a payload may have. */
const PAGE = 50

/** The answer with the SQL of as many migrations as it can carry, in their order; of the others it says how much there is. */
function fitting(answer: LookAnswers['plan']): LookAnswers['plan'] {
  const sizeOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))
  const withSql = (of: (sql: string) => string): LookAnswers['plan'] => ({
    ...answer,
    plan: {
      ...answer.plan,
      stages: answer.plan.stages.map((stage) => ({
        ...stage,
        migrations: stage.migrations.map((one) => (one.sql === undefined ? one : { ...one, sql: of(one.sql) })),
      })),
    },
  })
  const left = (sql: string): string => `-- ${sql.length} characters: see the file`
  let room = LARGEST_BYTES - sizeOf(withSql(left))
  return withSql((sql) => {
    const more = sizeOf(sql) - sizeOf(left(sql))
    if (more > room) return left(sql)
    room -= more
    return sql
  })
}

const lookPlan: Answer<'plan'> = async (site, { tag, downTo, run, fix }, signal) => {
  if (run !== undefined && !fix) return storedPlan(site, run, signal)
  const kind = downTo !== undefined ? 'rollback' : tag === undefined ? 'migrate' : 'deploy'
  const plan = fix
    ? await previewFix(site, run, { by: 'headgate plan', ...(tag === undefined ? {} : { tag }) }, signal)
    : await planFor(site, { kind, tag, downTo }, signal)
  const shown = await planShown(site, plan, digestOf(plan), signal)
  return fitting({ ...shown, blocks: blocking(site, shown.review) })
}

/** The plan that a run has, as it was approved or waits to be: what the files say by now does not matter. */
async function storedPlan(site: Site, name: string, signal: AbortSignal): Promise<LookAnswers['plan']> {
  const { planDigest: digest = '' } = await findRun(site.journal, name)
  const shown = await planShown(site, await findPlan(site.journal, digest), digest, signal)
  return fitting({ ...shown, blocks: [] })
}

/** With what adds to it: where that cannot be had, the plan is shown without, and says so. */
async function planShown(
  site: Site,
  plan: Plan,
  digest: string,
  signal: AbortSignal,
): Promise<Omit<LookAnswers['plan'], 'blocks'>> {
  const unread = plan.stages.flatMap(({ migrations }) => migrations.map(({ version }) => version))
  return {
    digest,
    plan,
    review: await reviewOf(site, plan, signal).catch((error) => ({
      ...NOTHING_REVIEWED,
      unread,
      failed: notReviewed(error),
    })),
    rehearsed: await rehearsedOf(site, plan).catch(() => []),
  }
}

const lookInfo: Answer<'info'> = async (site, { tag }) => {
  requireTag(site, tag)
  const migrations = await site.migrator.migrations(tag ?? '')
  const ledger = await lookInto(site, site.target, 'headgate info', (session) => site.migrator.ledger(session, tag))
  const image = await site.migrator.image?.(tag ?? '', 'present')
  const edited = editedLines(await editedSince(site, migrations, ledger, image))
  const applied = new Set(ledger.applied.map(({ version }) => version))
  const files = new Set(migrations.map(({ version }) => version))
  return {
    database: site.target.database,
    ...(ledger.dirty === undefined ? {} : { dirty: ledger.dirty }),
    problems: mismatches(migrations, ledger),
    ...(edited.length === 0 ? {} : { edited }),
    migrations: [
      ...ledger.applied
        .filter(({ version }) => !files.has(version))
        .map(({ version, name }) => ({
          version,
          name: name ?? '',
          state: 'installed' as const,
          phase: 'expand' as const,
        })),
      ...migrations.map(({ version, name, phase }) => ({
        version,
        name,
        phase,
        state: applied.has(version) ? ('installed' as const) : ('pending' as const),
      })),
    ],
  }
}

const lookDatabase: Answer<'database'> = async (site) => ({
  database: site.target.database,
  protected: site.configuration.protected,
})

const lookHistory: Answer<'history'> = async ({ journal, configuration }, { cursor }) => {
  const runs = await listRuns(journal, configuration.project, configuration.environment, PAGE + 1, cursor)
  const page = runs.slice(0, PAGE)
  const last = page.at(-1)
  return {
    runs: page.map(({ name, kind, tag, state, outcome, startedAt, endedAt, requester, ending }) => ({
      run: name,
      kind,
      ...(tag === undefined ? {} : { tag }),
      state,
      ...(outcome === undefined ? {} : { outcome }),
      startedAt: startedAt.toISOString(),
      ...(endedAt === undefined ? {} : { endedAt: endedAt.toISOString() }),
      by: requester.by,
      ...(ending === undefined ? {} : { reason: ending.reason }),
    })),
    ...(runs.length > PAGE && last ? { cursor: last.name } : {}),
  }
}

const lookReport: Answer<'report'> = async ({ journal }, { run }) => reportOf(journal, run ?? '')

const lookBackups: Answer<'backups'> = async ({ journal, configuration, store }, { cursor }) => {
  const all = await listBackups(journal, configuration.project, configuration.environment)
  const from = cursor === undefined ? 0 : Number(cursor)
  const page = all.slice(from, from + PAGE)
  return {
    store: store.description,
    backups: page.map(({ manifest, state }) => backupSummary(manifest, state)),
    ...(all.length > from + PAGE ? { cursor: String(from + PAGE) } : {}),
  }
}

const lookBackup: Answer<'backup'> = async (site, { backup }) => {
  // Settings of the database among the properties may be secrets: they stay with the backup.
  const { fingerprint, properties: _, rebuild: __, ...manifest } = await findBackup(site, backup ?? '')
  const tables = Object.entries(fingerprint.tables).slice(0, PAGE)
  return {
    ...manifest,
    files: Object.keys(manifest.files).length,
    schema: fingerprint.schema,
    tables: tables.map(([table, { rows }]) => ({ table, rows })),
  }
}

/** Reads the backup again; what it finds is recorded. It changes neither database nor backup. */
const lookVerifyBackup: Answer<'verifyBackup'> = async (site, { backup }, signal) => {
  const manifest = await findBackup(site, backup ?? '')
  try {
    await site.backups[manifest.kind].verify(manifest, signal)
    await recordBackup(site.journal, manifest, 'valid')
    return { name: manifest.name, kind: manifest.kind, valid: true, found: 'equal to its manifest' }
  } catch (error) {
    signal.throwIfAborted()
    // Whatever else kept it from being read says nothing of it.
    if (!failedWith(error, 'BackupDamaged')) throw error
    await recordBackup(site.journal, manifest, 'damaged')
    return { name: manifest.name, kind: manifest.kind, valid: false, found: messageOf(error) }
  }
}

/** One activity type per command that looks. */
export const lookActivities = (dependencies: Dependencies) => ({
  lookPlan: looking(dependencies, lookPlan),
  lookInfo: looking(dependencies, lookInfo),
  lookDatabase: looking(dependencies, lookDatabase),
  lookHistory: looking(dependencies, lookHistory),
  lookReport: looking(dependencies, lookReport),
  lookBackups: looking(dependencies, lookBackups),
  lookBackup: looking(dependencies, lookBackup),
  lookVerifyBackup: looking(dependencies, lookVerifyBackup),
  lookDoctor: looking(dependencies, lookDoctor),
  lookEvidence: looking(dependencies, lookEvidence),
  lookRehearse: looking(dependencies, lookRehearse),
})
