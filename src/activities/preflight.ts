import type { Consumer } from '../adapters/consumer/port.js'
import { findPlan } from '../adapters/journal/runs.js'
import { longPrepared, longTransactions } from '../adapters/postgres/activity.js'
import { readIdentity } from '../adapters/postgres/identity.js'
import { unreadableOf } from '../adapters/postgres/readable.js'
import { duration } from '../domain/amounts.js'
import { failure, messageOf } from '../domain/failures.js'
import { environmentOf } from '../domain/names.js'
import type { Plan } from '../domain/plan.js'
import { findUnended } from './find-unended.js'
import { findValidBackup } from './find-backup.js'
import { beating } from './heartbeat.js'
import { lookInto } from './look-into.js'
import { wouldNotFollow } from './make-plan.js'
import { type Dependencies, onSite, type Site } from './site.js'
import { toolFindings } from './tool-findings.js'

/** A transaction this old would make the migration wait, and readers wait behind it. */
const LONG_TRANSACTION_MS = 60_000

/** Looks at everything the run will need before anybody is paused; makes the store's folder where it is missing, and changes nothing else. Throws `GuardFailed` with every finding, `ToolMissing`. */
export const preflight =
  (dependencies: Dependencies) =>
  (runName: string): Promise<string> =>
    beating(({ signal }) =>
      onSite(dependencies, environmentOf(runName), async (site) => {
        const run = await findUnended(site.journal, runName)
        const plan = await findPlan(site.journal, run.planDigest ?? '')
        if (plan.stages.length === 0) return 'nothing to do'
        const looks = [
          databaseFindings,
          backupFindings,
          serviceFindings,
          consumerFindings,
          autodeployFindings,
          toolFindings,
        ]
        const findings = (await Promise.all(looks.map((look) => look(site, plan, signal)))).flat()
        if (findings.length > 0) throw failure('GuardFailed', findings.join('; '))
        const tools = plan.stages.some(({ phase }) => phase !== 'image')
          ? await site.migrator.describe(plan.tag ?? '')
          : []
        return ['nothing stands in the way', ...tools].join(', ')
      }),
    )

export async function databaseFindings(site: Site, plan: Plan): Promise<string[]> {
  return lookInto(site, site.control, 'headgate preflight', async (session) => {
    const inTheWay = plan.restores === undefined ? [] : wouldNotFollow(await readIdentity(session))
    const old = await longTransactions(session, plan.bound.database, LONG_TRANSACTION_MS)
    const prepared = await longPrepared(session, plan.bound.database, LONG_TRANSACTION_MS)
    return [
      ...inTheWay.map((what) => `database ${plan.bound.database} cannot be swapped: ${what}`),
      ...old.map(
        ({ pid, user, applicationName, ageMs }) =>
          `pid ${pid} (${user}, ${applicationName || 'unnamed'}) is in a transaction for ${Math.round(ageMs / 1000)} s`,
      ),
      ...prepared.map(
        ({ gid, user, ageMs }) => `${gid} (${user}) is a prepared transaction for ${Math.round(ageMs / 1000)} s`,
      ),
    ]
  })
}

/** What is to be written can be written, and what is to be put in place is what its manifest says: found out while everything still runs. */
async function backupFindings(site: Site, plan: Plan, signal: AbortSignal): Promise<string[]> {
  const found = (error: unknown): string[] => {
    signal.throwIfAborted()
    return [messageOf(error)]
  }
  if (plan.restores !== undefined) {
    const manifest = await findValidBackup(site, plan.restores)
    return site.backups[manifest.kind].verify(manifest, signal).then(() => [], found)
  }
  const findings = plan.backups.includes('dump') ? await site.store.prepare().then(() => [], found) : []
  for (const kind of plan.backups)
    findings.push(...((await site.backups[kind].describe?.(signal).then(() => [], found)) ?? []))
  return [...findings, ...(plan.backups.length === 0 ? [] : await unreadableFindings(site))]
}

/** A backup reads everything, and is taken when the services are stopped already. */
const unreadableFindings = (site: Site): Promise<string[]> =>
  lookInto(site, site.reader, 'headgate preflight', async (session) =>
    (await unreadableOf(session)).map(({ what, grant }) => `the backup's role ${site.reader.user} ${what} (${grant})`),
  )

export async function serviceFindings(site: Site, plan: Plan, signal: AbortSignal): Promise<string[]> {
  const findings: string[] = []
  for (const { service } of site.services) {
    const { previous, previousImage, next, nextImage } = plan.services.find(({ name }) => name === service.name) ?? {}
    if (next !== undefined || plan.quiesces.includes(service.name))
      findings.push(...(await undoFindings(service, signal)))
    if (next === undefined) continue
    if ((await service.exists(next, signal, nextImage)) === false)
      findings.push(`${service.name}: tag ${next} does not exist`)
    if (previous !== undefined && (await service.exists(previous, signal, previousImage)) === false) {
      findings.push(`${service.name}: the previous tag ${previous} does not exist any more, there would be no way back`)
    }
  }
  return findings
}

type Undoable = Pick<Consumer, 'name' | 'undoneBy'>

/** Who would undo what a run does to it. */
export const othersUndo = async (one: Undoable, signal: AbortSignal): Promise<string[]> =>
  (await one.undoneBy?.(signal)) ?? []

const undoFindings = async (one: Undoable, signal: AbortSignal): Promise<string[]> =>
  (await othersUndo(one, signal)).map((what) => `${one.name}: ${what}`)

/** What would be gone when it comes back from the longest pause. */
async function keptTooShortly(consumer: Consumer, pauseMs: number, signal: AbortSignal): Promise<string[]> {
  // Where its rights do not tell, nothing is known against it.
  const kept = (await consumer.kept?.(signal).catch(() => [])) ?? []
  return kept
    .filter(({ ms }) => ms < pauseMs)
    .map(
      ({ what, ms }) =>
        `${consumer.name}: ${what} are kept for ${duration(ms)}, and a pause may last ${duration(pauseMs)} (pauseLimit)`,
    )
}

async function autodeployFindings(site: Site, plan: Plan, signal: AbortSignal): Promise<string[]> {
  const findings: string[] = []
  for (const autodeploy of site.autodeploys.filter(({ name }) => plan.autodeploys?.includes(name)))
    await autodeploy.state(signal).catch((error: Error) => findings.push(error.message))
  return findings
}

async function consumerFindings(site: Site, plan: Plan, signal: AbortSignal): Promise<string[]> {
  const findings: string[] = []
  for (const consumer of site.consumers.filter(({ name }) => plan.consumers.includes(name))) {
    const found = await consumer.state(signal).then(
      async () => [
        ...(await keptTooShortly(consumer, site.configuration.pauseLimit, signal)),
        ...(await undoFindings(consumer, signal)),
      ],
      (error: Error) => [`${consumer.name}: ${error.message}`],
    )
    findings.push(...found)
  }
  return findings
}
