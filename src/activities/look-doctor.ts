import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Check, CheckContext } from '../adapters/check/port.js'
import { openRunOf } from '../adapters/journal/runs.js'
import {
  type DatabaseIdentity,
  GRANTS_PARAMETERS,
  readIdentity,
  SETS_BY_ADMIN_OPTION,
} from '../adapters/postgres/identity.js'
import { unreadableOf } from '../adapters/postgres/readable.js'
import { quoteIdentifier } from '../adapters/postgres/session.js'
import type { Target } from '../adapters/postgres/target.js'
import { withDeadline } from '../adapters/process/deadline.js'
import { failure, messageOf } from '../domain/failures.js'
import type { LookAnswers } from '../domain/look.js'
import { lostBecause } from './lost.js'
import { whyNoBlock } from './block-roles.js'
import { isPerRelease, plannedBackups, whyNoRestore, whyNoSwap } from './make-plan.js'
import { lookInto } from './look-into.js'
import type { Answer } from './looking.js'
import { othersUndo } from './preflight.js'
import type { Site } from './site.js'

type Line = LookAnswers['doctor']['lines'][number]

/** How long one check may take to answer. */
const CHECK_MS = 10_000

/** What stands between this environment and a run, and what a run cannot do here. */
export const lookDoctor: Answer<'doctor'> = async (site, { tag }, signal) => {
  const lines: Line[] = []
  const look = async (what: string, ask: () => Promise<string>): Promise<void> => {
    await ask().then(
      (found) => lines.push({ what, ok: true, found }),
      (error) => lines.push({ what, ok: false, found: messageOf(error) }),
    )
  }
  // Without a journal there is no site, and nothing here would have been asked.
  await look('journal', async () => `in database ${site.journal.target.database}`)
  await look('database', async () => {
    const { database, serverVersion, user } = await identityOf(site, site.target)
    return `${database} on PostgreSQL ${serverVersion}, as ${user}`
  })
  // The control role's rights decide what backups and what way back there are.
  const control = await identityOf(site, site.control).catch((error) => {
    lines.push({ what: 'control role', ok: false, found: messageOf(error) })
    return undefined
  })
  if (control) lines.push(rightsLine(control), ...(await wayBackLines(site, control, signal)))
  const unread = await lookInto(site, site.reader, 'headgate doctor', unreadableOf).catch((error) => {
    lines.push({ what: 'backup role', ok: false, found: messageOf(error) })
    return []
  })
  if (unread.length > 0)
    lines.push({
      what: 'backup role',
      ok: false,
      found: `${site.reader.user} ${unread.map(({ what }) => what).join(' and ')}`,
    })
  const open = await openRunLine(site).catch(() => undefined)
  if (open) lines.push(open)
  await look('migrator', async () => (await site.migrator.describe(tag ?? '')).join(', '))
  if (tag !== undefined || !isPerRelease(site))
    await look(
      'migrations',
      async () => `${(await site.migrator.migrations(tag ?? '')).length} files${tag === undefined ? '' : ` of ${tag}`}`,
    )
  for (const consumer of site.consumers)
    await look(`consumer ${consumer.name}`, async () => {
      await requireNobodyUndoes(consumer, signal)
      return (await consumer.state(signal)).state
    })
  for (const autodeploy of site.autodeploys)
    await look(`autodeploy ${autodeploy.name}`, async () => {
      const { state, running } = await autodeploy.state(signal)
      return `${state}, ${running} under way`
    })
  const tags = new Set<string | undefined>()
  for (const { service } of site.services)
    await look(`service ${service.name}`, async () => {
      await requireNobodyUndoes(service, signal)
      const current = await service.current(signal)
      tags.add(current)
      const tag = current ?? 'an unknown tag'
      const isRunning = await service.isRunning(signal)
      const queue = site.configuration.services[service.name]?.queue
      const told = queue === undefined ? '' : `; told by the worker on ${queue}`
      if (isRunning === undefined) return `on ${tag}; without \`status\` nobody can tell whether it runs${told}`
      return `${isRunning ? `runs ${tag}` : `stopped, on ${tag}`}${told}`
    })
  const context = { tag: tags.size === 1 ? [...tags][0] : undefined, expectedVersion: undefined, ignoring: [] }
  for (const check of [...site.verify, ...site.smoke]) lines.push(await checkLine(check, context, signal))
  for (const notifier of site.notifiers) await look('notifier', () => notifier.reach(signal))
  return {
    host: hostname(),
    lines,
    grants: [...new Set([...(control ? missingRights(control) : []), ...unread].map(({ grant }) => grant))],
  }
}

/** One sample: a no may be what the release is to put right. What is asked in a run alone is named. */
async function checkLine(check: Check, context: Omit<CheckContext, 'run'>, signal: AbortSignal): Promise<Line> {
  const what = `check ${check.name}`
  if (check.onlyInRun !== undefined) return { what, ok: true, found: `asked in a run alone: ${check.onlyInRun}` }
  const bounded = withDeadline(signal, CHECK_MS)
  try {
    const { ok, found } = await check.run({ ...context, run: `doctor-${randomUUID()}` }, bounded)
    return { what, ok, found }
  } catch (error) {
    signal.throwIfAborted()
    return { what, ok: false, found: bounded.aborted ? `no answer within ${CHECK_MS / 1000} s` : messageOf(error) }
  }
}

/** Throws `GuardFailed` with who would undo what a run does to it. */
async function requireNobodyUndoes(one: Parameters<typeof othersUndo>[0], signal: AbortSignal): Promise<void> {
  const others = await othersUndo(one, signal)
  if (others.length > 0) throw failure('GuardFailed', others.join('; '))
}

/** A run that nobody carries any more, or that waits for an operator, keeps every other one from beginning. */
async function openRunLine({ journal, configuration }: Site): Promise<Line | undefined> {
  const run = await openRunOf(journal, configuration.project, configuration.environment)
  if (!run) return undefined
  const why = run.outcome ?? (await lostBecause(journal, run))
  if (why === undefined) return { what: 'open run', ok: true, found: `${run.name} is under way` }
  return { what: 'open run', ok: false, found: `${run.name}: ${why}; headgate recover ${run.name}` }
}

const identityOf = (site: Site, target: Target): Promise<DatabaseIdentity> =>
  lookInto(site, target, 'headgate doctor', readIdentity)

/** What a clone and a swap take and the role may not do, each with the SQL that grants it. */
function missingRights({ user, database, isSuperuser, ...may }: DatabaseIdentity): { what: string; grant: string }[] {
  if (isSuperuser) return []
  const [who, where] = [quoteIdentifier(user), quoteIdentifier(database)]
  const create = { what: 'may not create databases', grant: `alter role ${who} createdb;` }
  const own = { what: `does not own ${database}`, grant: `alter database ${where} owner to ${who};` }
  const see = { what: 'does not see who is in the database', grant: `grant pg_read_all_stats to ${who};` }
  const end = { what: `may not end others' sessions`, grant: `grant pg_signal_backend to ${who};` }
  const roles = may.rolesNotSettable.map(({ role, isSuperuser: isAbove }) => ({
    what: `may not give ${role} the settings that it has in ${database}`,
    grant: isAbove
      ? `alter role ${quoteIdentifier(role)} in database ${where} reset all; -- a superuser's settings are a superuser's to give`
      : may.serverVersionNum < SETS_BY_ADMIN_OPTION
        ? `alter role ${who} createrole;`
        : `alter role ${who} createrole; grant ${quoteIdentifier(role)} to ${who} with admin option;`,
  }))
  const settings = may.settingsNotSettable.map((setting) => ({
    what: `may not set ${setting}, as ${database} has it`,
    grant:
      may.serverVersionNum < GRANTS_PARAMETERS
        ? `alter database ${where} reset ${setting}; -- before PostgreSQL 15 only a superuser may set it`
        : `grant set on parameter ${setting} to ${who};`,
  }))
  return [
    ...(may.canCreateDatabase ? [] : [create]),
    ...(may.ownsDatabase ? [] : [own]),
    ...(may.seesSessions ? [] : [see]),
    ...(may.endsSessions ? [] : [end]),
    ...roles,
    ...settings,
  ]
}

function rightsLine(identity: DatabaseIdentity): Line {
  const { user, database } = identity
  const missing = missingRights(identity).map(({ what }) => what)
  if (missing.length > 0) return { what: 'rights', ok: false, found: `role ${user} ${missing.join(' and ')}` }
  return { what: 'rights', ok: true, found: `role ${user} may create databases, and rename ${database}` }
}

async function wayBackLines(site: Site, identity: DatabaseIdentity, signal: AbortSignal): Promise<Line[]> {
  const openBecause = whyNoRestore(site) ?? (await whyNoBlock(site)) ?? whyNoSwap(identity)
  try {
    const { kinds, reasons } = await plannedBackups(site, identity, openBecause)
    const why = openBecause ?? (kinds.length === 0 ? 'there is no backup' : undefined)
    const tools = await Promise.all(kinds.map((kind) => site.backups[kind].describe?.(signal) ?? []))
    return [
      {
        what: 'backups',
        ok: reasons.length === 0,
        found: [[kinds.join(' and '), ...tools.flat()].filter(Boolean).join(', '), ...reasons].join('; '),
      },
      {
        what: 'automatic restore',
        ok: why === undefined,
        found: why === undefined ? 'possible' : `not possible here, because ${why}`,
      },
    ]
  } catch (error) {
    return [{ what: 'backup', ok: false, found: messageOf(error) }]
  }
}
