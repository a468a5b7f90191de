import { z } from 'zod'
import { proveCheck } from '../adapters/check/prove.js'
import { findPlan, findRun, openRunOf, type RunRecord, takeOverRun } from '../adapters/journal/runs.js'
import { listSteps } from '../adapters/journal/steps.js'
import { withSession } from '../adapters/postgres/session.js'
import { withDatabase } from '../adapters/postgres/target.js'
import { type AfterRecovery, outcomeOfRecovery, SUCCEEDED } from '../domain/ending.js'
import { failure } from '../domain/failures.js'
import type { Ledger } from '../domain/migration.js'
import { environmentOf, Name, RunName, Tag } from '../domain/names.js'
import type { Outcome } from '../domain/outcome.js'
import { downTarget, stillToDo, type Plan, type PlanSummary, Requester } from '../domain/plan.js'
import { RecoverChoice, type RecoverWay } from '../domain/run.js'
import { serviceOf } from './configured.js'
import { beating } from './heartbeat.js'
import { isInPlace } from './init-database.js'
import { lookInto } from './look-into.js'
import { requireProject, summaryOf } from './plan.js'
import { requireFixable } from './plan-fix.js'
import { requireShape } from './require-shape.js'
import { after, before, isOn, type Running, runningOf } from './running.js'
import { keepStandingPlan } from './standing-plan.js'
import { requireBegun, stoppedAt } from './stopped.js'
import { type Dependencies, onSite, type Site } from './site.js'

export const RecoverRequest = z.strictObject({
  project: Name,
  environment: Name,
  requester: Requester,
  choice: z.enum([...RecoverChoice.options, 'automatic']),
  run: RunName.optional(),
  /** Of the release that mends it. */
  tag: Tag.optional(),
  /** The workflow that was found gone; a person takes a run over from whoever carries it. */
  from: z.string().max(300).optional(),
  of: z.literal('backup').optional(),
})
export type RecoverRequest = z.infer<typeof RecoverRequest>

/**
 * Finds the open run and the stage where it stopped, and takes it over. Throws `RunUnknown` when nothing is open, `RunOpen`
 * where a workflow still carries it: that one is steered; `PlanInvalid` where a fix has no release: the run stays as it is.
 */
export const openRecovery =
  (dependencies: Dependencies) =>
  (asked: RecoverRequest): Promise<PlanSummary> =>
    beating(({ carrier, taskToken }) => {
      const request = requireShape(RecoverRequest, asked)
      requireProject(dependencies, request.project)
      return onSite(dependencies, request.environment, async (site) => {
        await dependencies.requireCurrent(taskToken)
        const run = await openRun(site, request)
        // One that said that a person is needed does nothing more.
        if (run.outcome === undefined && run.carrier !== carrier) await dependencies.requireAbandoned(run)
        const digest = await keepStandingPlan(site.journal, run)
        const plan = await findPlan(site.journal, digest)
        const steps = await listSteps(site.journal, run.name)
        const stopped = stoppedAt(steps)
        if (request.choice === 'fix') await requireFixable(site, run, request.tag ?? plan.tag)
        if (request.choice === 'finish' || request.choice === 'fix') requireBegun(plan, stopped, steps)
        const { engine } = dependencies
        const { choice, tag, requester } = request
        const event = { choice, by: requester.by, stage: stopped, ...(tag === undefined ? {} : { tag }) }
        // From whoever carried it when that was asked, and from nobody who came since.
        const from = request.from ?? run.carrier
        const isTaken =
          run.carrier !== carrier &&
          (await takeOverRun(site.journal, run.name, { carrier, engine }, event, from, request.from !== undefined))
        if (!isTaken && (await findRun(site.journal, run.name)).carrier !== carrier)
          throw failure('RunTaken', `run ${run.name} is carried again, or has ended: nothing is done by itself`)
        const here = { ...plan, stages: plan.stages.filter(({ number }) => number === stopped) }
        return summaryOf(run.name, digest, here, site, await dependencies.searchAttributes())
      })
    })

async function openRun(site: Site, { project, environment, run }: RecoverRequest): Promise<RunRecord> {
  const found =
    run === undefined ? await openRunOf(site.journal, project, environment) : await findRun(site.journal, run)
  if (!found) throw failure('RunUnknown', `no run is open on ${environment}`)
  if (found.state === 'ended') throw failure('RunUnknown', `run ${found.name} has ended already: ${found.outcome}`)
  return found
}

/** How the run was recovered. */
export interface Recovering {
  way: RecoverWay
  /** The person who chose; nobody did where it was let go because that was proven right. */
  by?: string
  isSwapped?: boolean
  /** What was found to be right. */
  why?: string
}

export interface Recovered {
  outcome: Outcome
  reason: string
  database: string
  services: string
  /** Who took it as it is, where no outcome was proven. */
  acceptedBy?: string
  /** Nobody took it as it is: it still waits for a person. */
  isOpen: boolean
}

/** What is what after a person's choice was carried out; the outcome says no more than was found. */
export const observeRecovered =
  (dependencies: Dependencies) =>
  (runName: string, stage: number, { way, by, isSwapped = false, why }: Recovering): Promise<Recovered> =>
    beating(({ signal }) =>
      onSite(dependencies, environmentOf(runName), async (site) => {
        const run = await findRun(site.journal, runName)
        const plan = await findPlan(site.journal, run.planDigest ?? '')
        const made = plan.creates && (await madeBy(site, run, plan))
        if (made) return { ...made, services: 'not touched', isOpen: false }
        const ledger = await lookInto(site, site.target, 'headgate recover', (session) =>
          site.migrator.ledger(session, plan.tag),
        )
        const failing = await failingChecks(site, plan, run.name, ledger.applied.at(-1)?.version, signal)
        const services = await servicesNow(site, plan, signal)
        const { contractStarted } = run
        const outcome = outcomeOfRecovery({
          ...{
            way,
            isSwapped,
            stage,
            contractStarted,
            ...ledgerFacts(plan, ledger, way === 'restore' ? stage - 1 : stage),
          },
          // What a backup has replaced left nothing half done.
          mayBePartial: await mayBePartial(site, run.name, plan, ledger, way === 'restore' ? stage : undefined),
          verified: failing.length === 0,
          onNewImage: services.every(({ now, planned }) => isOn(now, after(planned))),
          // A service that cannot tell what it runs proves nothing of an image that may have been replaced.
          onPreviousImage: services.every(
            ({ now, planned }) => isOn(now, before(planned)) && (planned.next === undefined || now.tag !== undefined),
          ),
        })
        return {
          outcome,
          reason: [by === undefined ? `by itself: ${why}` : `${way}, asked for by ${by}`, ...failing].join('; '),
          database: `at ${ledger.applied.at(-1)?.version ?? 'no version'}${ledger.dirty === undefined ? '' : `, ${ledger.dirty} half done`}`,
          services:
            services.map(({ now, planned }) => `${planned.name} on ${now.tag ?? 'an unknown tag'}`).join(', ') ||
            'none are configured',
          ...(outcome === 'needs-operator' && by !== undefined ? { acceptedBy: by } : {}),
          isOpen: outcome === 'needs-operator' && by === undefined,
        }
      }),
    )

/** Of a run that makes a database: it has the name, or nothing has changed. */
async function madeBy(
  site: Site,
  run: RunRecord,
  plan: Plan,
): Promise<Pick<Recovered, 'outcome' | 'reason' | 'database'>> {
  const isThere = await withSession(
    withDatabase(site.control, 'postgres'),
    { applicationName: 'headgate recover', readOnly: true },
    (control) => isInPlace({ control, run, plan }),
  )
  return isThere
    ? { outcome: 'succeeded', reason: 'the fresh database was in place', database: SUCCEEDED['init-db'].database }
    : { outcome: 'aborted', reason: 'the fresh database had not been put in place', database: 'as before the run' }
}

/** `through`: the last stage that should be done. */
function ledgerFacts(
  plan: Plan,
  ledger: Ledger,
  through: number,
): Pick<AfterRecovery, 'expanded' | 'contracted' | 'ledgerIsClean'> {
  const applied = new Set(ledger.applied.map(({ version }) => version))
  const goesDown = downTarget(plan) !== undefined
  // On the way down the stages so far are what the image that runs by then needs, and the rest comes after it.
  const isLater = ({ phase, number }: Plan['stages'][number]): boolean =>
    goesDown ? number > through : phase === 'contract'
  const isDone = (later: boolean): boolean =>
    plan.stages.every((stage) => isLater(stage) !== later || stillToDo(stage, ledger).length === 0)
  const planned = plan.stages.flatMap(({ migrations }) => migrations.map(({ version }) => version))
  const known = new Set([...plan.applied.map(({ version }) => version), ...planned])
  return {
    expanded: isDone(false),
    contracted: isDone(true),
    ledgerIsClean: ledger.dirty === undefined && [...applied].every((version) => known.has(version)),
  }
}

async function mayBePartial(
  { journal }: Site,
  run: string,
  plan: Plan,
  ledger: Ledger,
  restored: number | undefined,
): Promise<boolean> {
  const begun = new Set(
    (await listSteps(journal, run)).filter(({ step }) => step === 'migrate').map(({ stage }) => stage),
  )
  return plan.stages
    .filter(({ number }) => begun.has(number) && number !== restored)
    .some((stage) => stillToDo(stage, ledger).some(({ transactional }) => !transactional))
}

/** What the configured checks on the database find wrong. */
async function failingChecks(
  site: Site,
  { tag }: Plan,
  run: string,
  expectedVersion: string | undefined,
  signal: AbortSignal,
): Promise<string[]> {
  const failing: string[] = []
  for (const check of site.verify) {
    const result = await proveCheck(check, { tag, expectedVersion, ignoring: [], run }, { signal })
    if (!result.ok) failing.push(`${check.name}: ${result.found}`)
  }
  return failing
}

const servicesNow = (
  site: Site,
  plan: Plan,
  signal: AbortSignal,
): Promise<{ planned: Plan['services'][number]; now: Running }[]> =>
  Promise.all(
    plan.services.map(async (planned) => {
      const service = serviceOf(site, planned.name)?.service
      return { planned, now: service ? await runningOf(service, signal) : {} }
    }),
  )
