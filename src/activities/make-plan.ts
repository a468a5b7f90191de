import { type PlannedBackups, planBackups } from '../adapters/backup/index.js'
import { openRunOf } from '../adapters/journal/runs.js'
import type { DatabaseIdentity } from '../adapters/postgres/identity.js'
import { readIdentity } from '../adapters/postgres/identity.js'
import { failedWith, failure } from '../domain/failures.js'
import { type Ledger, LONGEST_SHOWN, type Migration, neededBy } from '../domain/migration.js'
import type { Plan, PlannedMigration, RunKind } from '../domain/plan.js'
import { redact } from '../domain/text.js'
import { blockedRoles, whyNoBlock } from './block-roles.js'
import { serviceOf } from './configured.js'
import { editedLines, editedSince } from './edited-since.js'
import { lookInto } from './look-into.js'
import { planDown, type WayDown } from './plan-down.js'
import { having, runningOf, withNext } from './running.js'
import type { Site } from './site.js'
import { splitRelease } from './split-release.js'

const LOOKING = 'headgate plan'

export interface PlanRequest {
  kind: RunKind
  tag: string | undefined
  /** The version to take the database down to. */
  downTo?: string | undefined
}

/** Resolves what a run would do. It only looks. Throws `PlanInvalid`, `StateUnexpected`, `PreviousUnknown`, `DatabaseUnreachable`. */
export async function makePlan(
  site: Site,
  request: PlanRequest,
  signal: AbortSignal,
  scope: 'pending' | 'nothing pending' = 'pending',
): Promise<Plan> {
  const { configuration } = site
  if (scope === 'pending') requireTag(site, request.tag)
  const migratorImage = scope === 'pending' ? await site.migrator.image?.(request.tag ?? '', 'newest') : undefined
  // The control role's rights decide what backups and what way back there are.
  const identity = await lookInto(site, site.control, LOOKING, readIdentity)
  requirePrimary(identity)
  await requireOneDatabase(site, identity)
  const ledger = scope === 'pending' ? await readLedger(site, request.tag) : await ledgerWithoutRelease(site, signal)
  const migrations = scope === 'pending' ? await migrationsOf(site, request.tag, ledger) : []
  if (ledger.dirty !== undefined && scope === 'pending') throw await halfDone(site, ledger.dirty)
  const seen = { identity, ledger }
  const pending = scope === 'pending' ? pendingOf(migrations, seen.ledger) : []
  const edited = await editedSince(site, migrations, seen.ledger, migratorImage)
  const approval = configuration.approval
  const { stages, services, remarks } =
    request.downTo === undefined
      ? await wayUp(site, request, pending, signal)
      : await wayDown(site, { ...request, downTo: request.downTo }, ledger, signal)
  requireApprovable(site, stages)
  const migrates = stages.some(({ phase }) => phase !== 'image')
  const openBecause = whyNoRestore(site) ?? (await whyNoBlock(site)) ?? whyNoSwap(seen.identity)
  const backups = migrates ? await plannedBackups(site, seen.identity, openBecause) : { kinds: [], reasons: [] }
  const from = seen.ledger.applied.at(-1)?.version
  const noRestoreBecause = openBecause ?? (migrates && backups.kinds.length === 0 ? 'there is no backup' : undefined)
  return {
    format: 1,
    project: configuration.project,
    environment: configuration.environment,
    kind: request.kind,
    ...(request.tag === undefined ? {} : { tag: request.tag }),
    bound: {
      systemIdentifier: seen.identity.systemIdentifier,
      database: seen.identity.database,
      oid: seen.identity.oid,
    },
    ...(from === undefined ? {} : { from }),
    applied: seen.ledger.applied.map(({ version, name }) => ({ version, ...(name === undefined ? {} : { name }) })),
    stages,
    services,
    ...(migratorImage === undefined ? {} : { migratorImage }),
    ...(stages.length === 0 ? {} : heldOf(site)),
    consumers: migrates ? site.consumers.map(({ name }) => name) : [],
    ...(migrates && noRestoreBecause === undefined ? writersOf(site, blockedRoles(site)) : { quiesces: [] }),
    backups: backups.kinds,
    ...(noRestoreBecause === undefined ? {} : { noRestoreBecause }),
    remarks: [...remarks, ...editedLines(edited), ...backups.reasons, ...previousRemarks(site, services)],
    approvers: approversOf(approval),
    protected: configuration.protected,
  }
}

/** Who is kept out where the gate is closed: these roles, else the services that can be stopped. */
export const writersOf = (site: Site, blocks: string[]): Pick<Plan, 'quiesces' | 'blocks'> =>
  blocks.length > 0
    ? { quiesces: [], blocks }
    : { quiesces: site.services.filter(({ service }) => service.canStop).map(({ service }) => service.name) }

/** What the plan holds, where anything is configured: plans of before had no word of it, and have the digest they had. */
export const heldOf = ({ autodeploys }: Site): Pick<Plan, 'autodeploys'> =>
  autodeploys.length === 0 ? {} : { autodeploys: autodeploys.map(({ name }) => name) }

/** The migrations of a release whose image is here already. `ledger` and what it throws: as of the migrator. */
export async function migrationsOf({ migrator, secrets }: Site, tag = '', ledger?: Ledger): Promise<Migration[]> {
  return (await migrator.migrations(tag, ledger)).map((migration) => shown(migration, secrets))
}

/** Throws `UsageInvalid` where the migrations are found by the release's tag, and none was given. */
export function requireTag(site: Site, tag: string | undefined): void {
  if (tag === undefined && isPerRelease(site))
    throw failure('UsageInvalid', 'which release? its migrations are found by its tag: add --tag TAG')
}

export const isPerRelease = ({ configuration: { migrator } }: Site): boolean =>
  migrator.service !== undefined || JSON.stringify(migrator).includes('{tag}')

async function wayUp(
  site: Site,
  { kind, tag }: PlanRequest,
  pending: readonly PlannedMigration[],
  signal: AbortSignal,
): Promise<WayDown> {
  const { approval } = site.configuration
  const services = kind === 'deploy' ? await plannedServices(site, tag, signal) : await currentServices(site, signal)
  const release = await splitRelease(site, pending, {
    deploysImage: services.some(({ next }) => next !== undefined),
    stopsAtTarget: site.migrator.stopsAtTarget,
    approvalBefore: approval === 'none' ? [] : approval.before,
  })
  return { ...release, services }
}

async function wayDown(
  site: Site,
  request: { tag: string | undefined; downTo: string },
  ledger: Ledger,
  signal: AbortSignal,
): Promise<WayDown> {
  const down = await planDown(site, request, ledger, await currentServices(site, signal))
  const stages = down.stages.map((stage) => ({
    ...stage,
    migrations: stage.migrations.map((migration) => shown(migration, site.secrets)),
  }))
  return { ...down, stages }
}

export const readLedger = (site: Site, tag: string | undefined): Promise<Ledger> =>
  lookInto(site, site.target, LOOKING, (session) => site.migrator.ledger(session, tag))

/** By the files of what runs now, where the tool needs any: without them it tells nothing, and a backup must be possible all the same. */
async function ledgerWithoutRelease(site: Site, signal: AbortSignal): Promise<Ledger> {
  const running = (await currentServices(site, signal)).find(({ previous }) => previous !== undefined)
  try {
    return await readLedger(site, running?.previous)
  } catch (error) {
    if (failedWith(error, 'PlanInvalid') || failedWith(error, 'ToolMissing')) return { exists: false, applied: [] }
    throw error
  }
}

/** The plan is stored and shown, a migration's SQL in it; what is reviewed and applied is read from its file again. */
function shown<M extends { sql?: string | undefined }>(migration: M, secrets: readonly string[]): M {
  const { sql, ...rest } = migration
  if (sql === undefined) return migration
  return sql.length > LONGEST_SHOWN ? (rest as M) : { ...migration, sql: redact(sql, secrets) }
}

function requirePrimary(identity: DatabaseIdentity): void {
  if (identity.isStandby)
    throw failure('DatabaseWrong', `database ${identity.database} is on a standby: nothing can be migrated there`)
}

/** Several addresses of one database: what is migrated must be what is shut, what is backed up, and what is verified. */
async function requireOneDatabase(site: Site, control: DatabaseIdentity): Promise<void> {
  const { url, urls } = site.configuration
  const others = [
    { what: 'url', address: url, target: site.target },
    ...(urls.backup === undefined ? [] : [{ what: 'urls.backup', address: urls.backup, target: site.reader }]),
    ...(urls.verify === undefined ? [] : [{ what: 'urls.verify', address: urls.verify, target: site.verifier }]),
  ]
  for (const { what, address, target } of others) {
    if (address === (urls.control ?? url)) continue
    const found = await lookInto(site, target, LOOKING, readIdentity)
    if (found.isStandby) throw failure('DatabaseWrong', `${what} leads to a standby`)
    if (found.systemIdentifier === control.systemIdentifier && found.oid === control.oid) continue
    throw failure(
      'DatabaseWrong',
      `${what} and ${urls.control === undefined ? 'url' : 'urls.control'} are not the same database`,
    )
  }
}

/** Of a run that is open it is that run's, and a fix goes on with it. */
async function halfDone({ journal, configuration: { project, environment } }: Site, version: string): Promise<Error> {
  const open = await openRunOf(journal, project, environment)
  const text = `the ledger marks ${version} as half done`
  const repair = `headgate repair ${environment}`
  if (!open)
    return failure('StateUnexpected', `${text}: look at the database, then repair the ledger`, undefined, {
      hint: `undo by hand what it did, then ${repair} mark-pending ${version}; or do the rest of it, then ${repair} mark-applied ${version}`,
    })
  return failure('StateUnexpected', `${text}, and run ${open.name} is open`, undefined, {
    hint: `headgate plan ${open.name} --fix --tag TAG shows how a release would mend it, headgate recover ${open.name} every way out`,
  })
}

/** The pending set. Throws `StateUnexpected`, and `PlanInvalid` where files and ledger do not fit. */
export function pendingOf(migrations: readonly Migration[], ledger: Ledger): PlannedMigration[] {
  const problems = mismatches(migrations, ledger)
  if (problems.length > 0) throw failure('PlanInvalid', problems.join('; '))
  const applied = new Set(ledger.applied.map(({ version }) => version))
  return migrations
    .filter(({ version }) => !applied.has(version))
    .map(({ restsOn: _, unread: __, ...migration }) => migration)
}

/** Files and ledger compared as sets: what was edited, what is missing, what is out of order; and what in a pending file says nothing. */
export function mismatches(migrations: readonly Migration[], ledger: Ledger): string[] {
  const files = new Map(migrations.map((migration) => [migration.version, migration]))
  const problems: string[] = []
  for (const { version, checksum } of ledger.applied) {
    const file = files.get(version)
    if (!file) problems.push(`${version} is applied, but the release has no such file`)
    else if (checksum !== undefined && checksum !== file.checksum)
      problems.push(`${version} was edited after it was applied`)
  }
  const applied = new Set(ledger.applied.map(({ version }) => version))
  // Of what is applied nothing can be mended any more.
  for (const { version, unheard } of migrations)
    if (unheard !== undefined && !applied.has(version)) problems.push(unheard)
  const needed = neededBy(migrations, applied)
  for (const { version } of migrations) {
    if (needed.has(version) && !applied.has(version))
      problems.push(`${version} is pending, but a later migration is applied already`)
  }
  return problems
}

/** In a protected environment only signed approvals count: without a list of signers the wait could never end well. */
export function requireApprovable({ configuration }: Site, stages: Plan['stages']): void {
  const { approval } = configuration
  if (!configuration.protected || approval === 'none' || approval.allowedSigners !== undefined) return
  if (!stages.some((stage) => stage.approval)) return
  throw failure(
    'GuardFailed',
    'nobody could approve: this environment is protected, and approval.allowedSigners is not configured',
  )
}

/** A service whose tag is the release's already is left alone. */
async function plannedServices(site: Site, tag: string | undefined, signal: AbortSignal): Promise<Plan['services']> {
  const services = await currentServices(site, signal)
  const unknown = services.filter(({ previous }) => previous === undefined)
  if (unknown.length > 0 && site.configuration.protected) {
    throw failure(
      'PreviousUnknown',
      `the tag that ${unknown.map(({ name }) => name).join(', ')} runs now is not known: there would be no way back`,
    )
  }
  if (tag === undefined) return services
  return Promise.all(
    services.map(async (planned) => {
      const service = serviceOf(site, planned.name)?.service
      // Also brings it here: before anything is stopped.
      return withNext(planned, { tag, image: await service?.imageOf?.(tag, 'newest') })
    }),
  )
}

export async function currentServices(site: Site, signal: AbortSignal): Promise<Plan['services']> {
  return Promise.all(site.services.map(async ({ service }) => having(service.name, await runningOf(service, signal))))
}

const previousRemarks = (site: Site, services: Plan['services']): string[] =>
  services
    .filter(({ previous }) => previous === undefined && site.services.length > 0)
    .map(({ name }) => `no rollback of ${name}: the tag it runs now is not known`)

/** Why the gate cannot be closed here; undefined when it can. */
export function whyNoRestore({ configuration, services }: Site): string | undefined {
  if (typeof configuration.quiesce === 'object') return undefined
  if (configuration.quiesce === 'none') return 'quiesce is none: services keep writing'
  const stuck = services.filter(({ service }) => !service.canStop).map(({ service }) => service.name)
  if (stuck.length > 0) return `${stuck.join(', ')} cannot be stopped: no start and stop are configured`
  if (services.length === 0) return 'no services are configured that could be stopped'
  return undefined
}

/** The first whose sessions are counted in shared memory: before it they were reported by datagrams, which may be lost. */
const COUNTS_SESSIONS = 150_000

/** Why no backup could be swapped in with proof: what the server or the role cannot do; undefined when they can. */
export function whyNoSwap(identity: DatabaseIdentity): string | undefined {
  if (identity.serverVersionNum < COUNTS_SESSIONS)
    return `PostgreSQL ${identity.serverVersion} does not count sessions reliably: that the gate stayed closed could not be proven`
  const [first] = [...wouldNotFollow(identity), ...writesWithoutSession(identity)]
  if (first !== undefined || identity.isSuperuser) return first
  if (!identity.seesSessions)
    return `role ${identity.user} does not see who is in the database (grant pg_read_all_stats to ${identity.user})`
  if (!identity.endsSessions)
    return `role ${identity.user} may not end others' sessions (grant pg_signal_backend to ${identity.user})`
  if (!identity.canCreateDatabase)
    return `role ${identity.user} may not create databases (alter role ${identity.user} createdb)`
  if (!identity.ownsDatabase) return `role ${identity.user} does not own database ${identity.database}`
  return [
    ...named(
      `role ${identity.user} may not give a database that is swapped in the settings (alter role ... in database) of`,
      identity.rolesNotSettable.map(({ role }) => role),
    ),
    ...named(
      `role ${identity.user} may not give a database that is swapped in the settings`,
      identity.settingsNotSettable,
    ),
  ][0]
}

/** What would stay with the database that is put aside. Prepared transactions would too: they come and go, and are looked for when it counts. */
export const wouldNotFollow = ({ logicalSlots, subscriptions }: DatabaseIdentity): string[] => [
  ...named('these logical replication slots would not follow a swap:', logicalSlots),
  ...named('these subscriptions would not follow a swap:', subscriptions),
]

/** What writes although every session is shut out. */
const writesWithoutSession = ({ backgroundWorkers }: DatabaseIdentity): string[] =>
  named('these background workers may write without a session:', backgroundWorkers)

const named = (what: string, names: readonly string[]): string[] =>
  names.length === 0 ? [] : [`${what} ${names.join(', ')}`]

/** Which backups are taken before a stage, and what stands in the way of the others. Throws `GuardFailed` when the one that was asked for is not possible. */
export async function plannedBackups(
  site: Site,
  identity: DatabaseIdentity,
  openBecause: string | undefined,
): Promise<PlannedBackups> {
  const { backup } = site.configuration
  const storeFreeBytes = backup === false ? 0n : await site.store.freeBytes()
  const planned = planBackups(backup, {
    sizeBytes: identity.sizeBytes,
    openBecause,
    storeFreeBytes,
  })
  if (backup !== false && planned.kinds.length === 0) throw failure('GuardFailed', planned.reasons.join('; '))
  return planned
}

export function approversOf(approval: Site['configuration']['approval']): Plan['approvers'] {
  if (approval === 'none') return { from: [], count: 0, timeoutMs: 0, verified: false, requesterMayApprove: true }
  const { from, count, timeout, allowedSigners, requesterMayApprove } = approval
  return { from, count, timeoutMs: timeout, verified: allowedSigners !== undefined, requesterMayApprove }
}
