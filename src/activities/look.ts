import { hostname } from 'node:os'
import { type BackupState, listBackups, recordBackup } from '../adapters/journal/backups.js'
import { listDecisions } from '../adapters/journal/decisions.js'
import { findPlan, findRun, listRuns, openRunOf } from '../adapters/journal/runs.js'
import { listEvents, listSteps, priorStates } from '../adapters/journal/steps.js'
import { journalGrant } from '../adapters/journal/prepare.js'
import { readIdentity } from '../adapters/postgres/identity.js'
import { withSession } from '../adapters/postgres/session.js'
import { failure, messageOf } from '../domain/failures.js'
import type { LookAnswers, LookInput } from '../domain/look.js'
import type { Manifest } from '../domain/manifest.js'
import { buildReport, type Report } from '../domain/report.js'
import { findBackup } from './find-backup.js'
import { beating, safeFailure } from './heartbeat.js'
import { makePlan, plannedBackups, whyNoRestore, whyNoSwap } from './make-plan.js'
import { digestOf, requireProject } from './plan.js'
import type { Dependencies, Site } from './site.js'

/** Rows of one page: an answer stays far below the 2 MB that a payload may have. */
const PAGE = 50

type Answer<C extends keyof LookAnswers> = (
  site: Site,
  input: LookInput,
  signal: AbortSignal,
) => Promise<LookAnswers[C]>

/** Makes the activity of a command that only looks. */
function looking<C extends keyof LookAnswers>(dependencies: Dependencies, answer: Answer<C>) {
  return (input: LookInput): Promise<LookAnswers[C]> =>
    beating(async ({ signal }) => {
      let secrets: string[] = []
      try {
        requireProject(dependencies, input.project)
        const site = await dependencies.site(input.environment)
        secrets = site.secrets
        return await answer(site, input, signal)
      } catch (error) {
        throw safeFailure(error, secrets)
      }
    })
}

const lookPlan: Answer<'plan'> = async (site, { tag }, signal) => {
  const plan = await makePlan(site, { kind: tag === undefined ? 'migrate' : 'deploy', tag }, signal)
  return { digest: digestOf(plan), plan }
}

const lookInfo: Answer<'info'> = async (site, { tag }) => {
  const migrations = await site.migrator.migrations(tag ?? '')
  const ledger = await withSession(site.target, { applicationName: 'headgate info', readOnly: true }, (session) =>
    site.migrator.ledger(session, tag),
  )
  const applied = new Set(ledger.applied.map(({ version }) => version))
  const files = new Set(migrations.map(({ version }) => version))
  return {
    database: site.target.database,
    ...(ledger.dirty === undefined ? {} : { dirty: ledger.dirty }),
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

/** What the journal knows of one run, as the report's model. Throws `RunUnknown`. */
async function reportOf(journal: Site['journal'], name: string): Promise<Report> {
  const run = await findRun(journal, name)
  const backups = await listBackups(journal, run.project, run.environment)
  return buildReport({
    run: { ...run, startedAt: run.startedAt.toISOString(), endedAt: run.endedAt?.toISOString() },
    plan: run.planDigest === undefined ? undefined : await findPlan(journal, run.planDigest),
    steps: (await listSteps(journal, name)).map((step) => ({
      ...step,
      startedAt: step.startedAt.toISOString(),
      endedAt: step.endedAt?.toISOString(),
    })),
    decisions: (await listDecisions(journal, name)).map((decision) => ({ ...decision, at: decision.at.toISOString() })),
    events: (await listEvents(journal, name)).map((event) => ({ ...event, at: event.at.toISOString() })),
    backups: backups
      .filter(({ manifest }) => manifest.run === name)
      .map(({ manifest, state }) => summaryOf(manifest, state)),
  })
}

const summaryOf = (manifest: Manifest, state: BackupState): LookAnswers['backups']['backups'][number] => ({
  name: manifest.name,
  kind: manifest.kind,
  state,
  gate: manifest.gate,
  run: manifest.run,
  stage: manifest.stage,
  takenAt: manifest.takenAt,
  bytes: manifest.bytes,
  location: manifest.location,
  ...(manifest.tag === undefined ? {} : { tag: manifest.tag }),
})

const lookBackups: Answer<'backups'> = async ({ journal, configuration, store }, { cursor }) => {
  const all = await listBackups(journal, configuration.project, configuration.environment)
  const from = cursor === undefined ? 0 : Number(cursor)
  const page = all.slice(from, from + PAGE)
  return {
    store: store.description,
    backups: page.map(({ manifest, state }) => summaryOf(manifest, state)),
    ...(all.length > from + PAGE ? { cursor: String(from + PAGE) } : {}),
  }
}

const lookBackup: Answer<'backup'> = async (site, { backup }) => {
  const { fingerprint, ...manifest } = await findBackup(site, backup ?? '')
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
    await recordBackup(site.journal, manifest, 'damaged')
    return { name: manifest.name, kind: manifest.kind, valid: false, found: messageOf(error) }
  }
}

const lookDoctor: Answer<'doctor'> = async (site, { tag }, signal) => {
  const lines: LookAnswers['doctor']['lines'] = []
  const look = async (what: string, ask: () => Promise<string>): Promise<void> => {
    await ask().then(
      (found) => lines.push({ what, ok: true, found }),
      (error) => lines.push({ what, ok: false, found: messageOf(error) }),
    )
  }
  await look('database', async () => {
    const identity = await withSession(
      site.target,
      { applicationName: 'headgate doctor', readOnly: true },
      readIdentity,
    )
    const openBecause = whyNoRestore(site) ?? whyNoSwap(identity)
    const backups = await plannedBackups(site, identity, openBecause)
    const why = openBecause ?? (backups.kinds.length === 0 ? 'there is no backup' : undefined)
    lines.push({
      what: 'automatic restore',
      ok: why === undefined,
      found:
        why === undefined
          ? `possible, from a ${backups.kinds.join(' and a ')}`
          : `no automatic restore here, because ${why}`,
    })
    for (const remark of backups.reasons) lines.push({ what: 'rights', ok: false, found: remark })
    return `${identity.database} on PostgreSQL ${identity.serverVersion}, as ${identity.user}`
  })
  await look('migrator', async () => (await site.migrator.describe(tag ?? '')).join(', '))
  const { migrator } = site.configuration
  const needsTag = JSON.stringify(migrator).includes('{tag}')
  if (tag !== undefined || !needsTag)
    await look(
      'migrations',
      async () => `${(await site.migrator.migrations(tag ?? '')).length} files${tag === undefined ? '' : ` of ${tag}`}`,
    )
  for (const consumer of site.consumers)
    await look(`consumer ${consumer.name}`, async () => (await consumer.state(signal)).state)
  for (const { service } of site.services)
    await look(`service ${service.name}`, async () => `runs ${(await service.current(signal)) ?? 'an unknown tag'}`)
  return { host: hostname(), lines, grants: [journalGrant(site.journal.target)] }
}

const lookEvidence: Answer<'evidence'> = async (site, { run }) => {
  const record =
    run === undefined
      ? await openRunOf(site.journal, site.configuration.project, site.configuration.environment)
      : await findRun(site.journal, run)
  if (!record) throw failure('RunUnknown', `no run is open on ${site.configuration.environment}`)
  const report = await reportOf(site.journal, record.name)
  const database = await withSession(
    site.control,
    { applicationName: 'headgate evidence', readOnly: true },
    (session) => site.migrator.ledger(session, record.tag),
  ).then(
    (ledger) =>
      `the ledger has ${ledger.applied.map(({ version }) => version).join(', ') || 'nothing'}${ledger.dirty === undefined ? '' : `; ${ledger.dirty} is half done`}`,
    messageOf,
  )
  const paused = [...(await priorStates(site.journal, record.name, 'consumer')).keys()]
  return {
    report,
    database,
    gate: record.gate ?? 'never closed',
    contractStarted: record.contractStarted,
    consumers: await Promise.all(
      site.consumers.map(async (consumer) => ({
        name: consumer.name,
        touched: paused.some((name) => name.endsWith(`/${consumer.name}`)),
        state: await consumer.state(AbortSignal.timeout(5_000)).then(({ state }) => state, messageOf),
      })),
    ),
    services: await Promise.all(
      site.services.map(async ({ service }) => ({
        name: service.name,
        current: await service.current(AbortSignal.timeout(5_000)).then((tag) => tag ?? 'unknown', messageOf),
      })),
    ),
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
})
