import { hostname } from 'node:os'
import { CancelledFailure, Context } from '@temporalio/activity'
import type { Client } from 'pg'
import { type FenceRequest, type Held, withFence } from '../adapters/journal/fence.js'
import type { Journal } from '../adapters/journal/journal.js'
import { findPlan, isOnDatabaseOf, type RunRecord, resourceOf } from '../adapters/journal/runs.js'
import { intend, recordGateSession, settle } from '../adapters/journal/steps.js'
import { account } from '../adapters/postgres/account.js'
import { openSession } from '../adapters/postgres/session.js'
import { describeTarget } from '../adapters/postgres/target.js'
import { failure, knownFailure, messageOf } from '../domain/failures.js'
import type { Fence } from '../domain/fence.js'
import { BY_HAND, carrierOf, environmentOf } from '../domain/names.js'
import { NO_DATABASE, type Plan, type Stage } from '../domain/plan.js'
import type { StepName } from '../domain/run.js'
import { accountForEarlier } from './earlier-sessions.js'
import { findUnended } from './find-unended.js'
import { type Beat, beating, executionOf, safeFailure } from './heartbeat.js'
import { insist } from './insist.js'
import { type Dependencies, onSite, type Site } from './site.js'

/** Everything a step knows while it holds the fence. */
export interface Step {
  site: Site
  run: RunRecord
  plan: Plan
  stage: Stage | undefined
  stageNumber: number
  fence: Fence
  /** A session on the cluster's maintenance database, under the attempt's own name. */
  control: Client
  beat: Beat
  /** Runs `work` on a session of the attempt's own on the target; behind a closed gate the session is accounted for. */
  onTarget: <T>(work: (session: Client) => Promise<T>) => Promise<T>
}

/** A changing step is made of these parts, and of nothing else: fence, observe, act, record. */
export interface Changing {
  step: StepName
  /** The note of a step that the plan leaves nothing to do: it needs no fence. */
  idle?: (planned: Pick<Step, 'site' | 'run' | 'plan'>) => string | undefined
  /** Looks at the world. What it returns is the step's note: it is done already. `undefined`: it must act. */
  observe: (step: Step) => Promise<string | undefined>
  /** Changes the world; may be interrupted anywhere, and is observed again before the next attempt. Returns the note for the report. */
  act: (step: Step) => Promise<string>
  /** What a cancel means while it acts; without it the effect is stopped at once. */
  onCancel?: (step: Step) => Promise<'stop' | 'go on'>
  /** After a cancel stopped the attempt before: throws `Cancelled`, or it is done to its end. Without it only what is observed to be done is. */
  afterCancel?: (step: Step) => Promise<void>
}

/** `after`: a cancel stopped the attempt before, see `Changing.afterCancel`. */
export type ChangingActivity = (run: string, stage: number, after?: 'a cancel') => Promise<string>

/** Makes the activity of a changing step: the only way to come by a fence. */
export function changing(dependencies: Dependencies, definition: Changing): ChangingActivity {
  return async (runName, stageNumber, after) => {
    const carrier = carrierOf(executionOf(Context.current()))
    const idle = definition.idle?.(await planned(dependencies, definition.step, runName, carrier))
    if (idle !== undefined) return idle
    return fenced(
      dependencies,
      definition.step,
      runName,
      stageNumber,
      async (step) => {
        if (after === 'a cancel') await definition.afterCancel?.(step)
        const seen = await definition.observe(step)
        if (seen !== undefined) return seen
        if (after === 'a cancel' && !definition.afterCancel)
          throw failure('Cancelled', 'stopped before anything had changed')
        return recorded(step, definition.step, () => definition.act(step))
      },
      definition.onCancel,
    )
  }
}

/** The run and its plan as the journal has them. */
const planned = (
  dependencies: Dependencies,
  name: StepName,
  runName: string,
  carrier: string,
): Promise<Pick<Step, 'site' | 'run' | 'plan'>> =>
  onSite(dependencies, environmentOf(runName), async (site) => {
    const run = await findOpenRun(site.journal, runName, carrier)
    return { site, run, plan: await findPlan(site.journal, run.planDigest ?? '') }
  }).catch((error) => insist(dependencies, name, runName, error))

/** As `changing`, for the way back: what was found and done is a value, not a note. */
export function fenced<T>(
  dependencies: Dependencies,
  name: StepName,
  runName: string,
  stageNumber: number,
  work: (step: Step) => Promise<T>,
  onCancel: Changing['onCancel'] = async () => 'stop',
): Promise<T> {
  const stop = new AbortController()
  return beating((beat) =>
    onSite(dependencies, environmentOf(runName), async (site) => {
      let run = await findOpenRun(site.journal, runName, beat.carrier)
      await dependencies.requireCurrent(beat.taskToken)
      const request: FenceRequest = {
        journal: site.journal,
        target: site.control,
        resource: resourceOf(run),
        run: runName,
        step: name,
        signal: stop.signal,
        waiting: beat.signal,
        progress: beat.progress,
        onSession: async (journal, session) => {
          if (run.gate === 'closed' && isOnDatabaseOf(run, session)) await recordGateSession(journal, runName, session)
        },
      }
      await accountForEarlier(site, run)
      return await withFence(request, async (held) => {
        // Again, now that nobody who comes later is overlooked: a worker that was frozen may begin long after its turn.
        await dependencies.requireCurrent(beat.taskToken)
        // Anew: until the fence was ours an older attempt may have written.
        run = await findOpenRun(site.journal, runName, beat.carrier)
        const step = await stepOf(site, run, stageNumber, held, beat)
        const unlink = stopsWith(beat, stop, () => onCancel(step))
        return work(step).finally(unlink)
      })
    }).catch((error) => {
      if (stop.signal.aborted && beat.isCancelled()) throw new CancelledFailure(`${name} was stopped by a cancel`)
      return insist(dependencies, name, runName, error)
    }),
  )
}

/** Throws `RunTaken` where the run has ended, or another workflow carries it now. */
async function findOpenRun(journal: Journal, name: string, carrier: string): Promise<RunRecord> {
  const run = await findUnended(journal, name)
  if (run.carrier !== carrier)
    throw failure('RunTaken', `run ${name} was taken over ${run.carrier === BY_HAND ? BY_HAND : `by ${run.carrier}`}`)
  return run
}

/** What the step writes into the journal, it writes as this attempt. */
async function stepOf(site: Site, run: RunRecord, stageNumber: number, held: Held, beat: Beat): Promise<Step> {
  const { fence, control, journal } = held
  await requireBinding(run, control)
  const plan = await findPlan(journal, run.planDigest ?? '')
  const step: Step = {
    site: { ...site, journal },
    run,
    plan,
    stage: plan.stages.find((one) => one.number === stageNumber),
    stageNumber,
    fence,
    control,
    beat,
    onTarget: (work) => onTarget(step, held, work),
  }
  return step
}

/** Passes the attempt's end on to its effects: a shutdown or a timeout at once, a cancel when the step says so. */
function stopsWith(beat: Beat, stop: AbortController, decide: () => Promise<'stop' | 'go on'>): () => void {
  const end = (): void => {
    if (!beat.isCancelled()) {
      stop.abort(beat.signal.reason)
      return
    }
    decide().then(
      (decision) => decision === 'stop' && stop.abort(beat.signal.reason),
      () => stop.abort(beat.signal.reason),
    )
  }
  if (beat.signal.aborted) end()
  else beat.signal.addEventListener('abort', end, { once: true })
  return () => beat.signal.removeEventListener('abort', end)
}

/** Journals the intent, runs the effect, journals what came of it. */
export async function recorded<T>(step: Step, name: StepName, act: () => Promise<T>): Promise<T> {
  const { site, run, stageNumber, fence, beat } = step
  const { journal, secrets } = site
  const id = await intend(journal, {
    run: run.name,
    step: name,
    stage: stageNumber,
    attempt: beat.attempt,
    epoch: fence.epoch,
    host: hostname(),
  })
  try {
    const result = await act()
    await settle(journal, id, 'done', result)
    return result
  } catch (error) {
    const safe = safeFailure(error, secrets)
    const known = knownFailure(safe)
    const evidence = known?.detail.evidence
    await settle(journal, id, 'failed', {
      code: known?.code ?? 'Unexpected',
      message: messageOf(safe),
      ...(evidence === undefined ? {} : { evidence }),
    }).catch(() => {})
    throw error
  }
}

/** The plan is for one database of one cluster: restoring or migrating another one must be impossible. */
async function requireBinding(run: RunRecord, control: Client): Promise<void> {
  const { rows } = await control.query<{ system: string; oid: string | null }>(
    `select system_identifier::text as system, (select oid::text from pg_database where datname = $1) as oid from pg_control_system()`,
    [run.database],
  )
  const [seen] = rows
  if (seen?.system !== run.systemIdentifier)
    throw failure('DatabaseWrong', `this is another cluster than the one the plan was made for`)
  if (!run.databaseOids.includes(seen.oid ?? NO_DATABASE)) {
    throw failure(
      'DatabaseWrong',
      `database ${run.database} is not the one the plan was made for: its oid is ${seen.oid ?? 'none'}`,
      undefined,
      { hint: 'see where the url leads; after a swap by hand see docs/recovery.md, *Tell the journal*' },
    )
  }
}

async function onTarget<T>(
  { site, run, fence }: Step,
  { requireHeld }: Held,
  work: (session: Client) => Promise<T>,
): Promise<T> {
  const session = await openSession(site.target, { applicationName: fence.applicationName, statementTimeoutMs: 0 })
  try {
    // Also a session that only looks: one of an attempt that woke up late must do nothing beside the next one's.
    await requireHeld()
    if (!isOnDatabaseOf(run, await account(fence, session)))
      throw failure('DatabaseWrong', `${describeTarget(site.target)} is not the database the plan was made for`)
    return await work(session)
  } finally {
    await session.end().catch(() => {})
  }
}
