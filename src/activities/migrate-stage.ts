import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { recordContractStarted } from '../adapters/journal/runs.js'
import { listEvents, listSteps, recordEvent } from '../adapters/journal/steps.js'
import { requireAsPlanned } from '../adapters/migrator/pending.js'
import type { ToolRun, UpRequest } from '../adapters/migrator/port.js'
import { type Blocked, holdAny } from '../adapters/postgres/activity.js'
import { dropNewInvalidIndexes } from '../adapters/postgres/invalid-indexes.js'
import { endSessionsNamed } from '../adapters/postgres/gate.js'
import { advised, FAILURES, failedWith, failure, knownFailure, messageOf } from '../domain/failures.js'
import type { Migration } from '../domain/migration.js'
import { isNarrowing, isUndo, stillToDo } from '../domain/plan.js'
import { captureBefore, compareWithCapture } from './capture.js'
import { changing, type Step } from './changing.js'
import { reopen } from './gate.js'
import { asRehearsed } from './rehearsed.js'
import { recoveriesOf } from './recoveries.js'
import { requireApproved } from './require-approved.js'
import { requireImagesAsPlanned } from './running.js'
import type { Dependencies } from './site.js'
import { hasCommitted, hasLeftSomething, isLedgerAll } from './stage-committed.js'
import { vouched } from './vouch.js'
import { asked, watched } from './watch.js'

const BACKOFF_MS = 500
const LONGEST_BACKOFF_MS = 5_000
const HOLDERS_MS = 50
const END_WITHIN_MS = 10_000
/** An event of the journal. */
const TOO_LATE = 'cancel too late'

/**
 * Applies the stage's migrations, as far as the ledger does not have them. `after`: a cancel was asked for, and reaches this
 * attempt no more. Then it throws `Cancelled` where nothing of the stage has committed, else goes on to the end.
 */
export const migrateStage = (dependencies: Dependencies) =>
  changing(dependencies, {
    step: 'migrate',
    onCancel: decideCancel,
    afterCancel: requireTooLate,
    observe: async (step) => {
      // A run that a person recovers may have been left with its database closed.
      await reopen(step)
      await captureBefore(step)
      const missing = await missingVersions(step)
      if (missing.length > 0) return undefined
      return `the ledger has ${isUndo(step.stage?.phase) ? 'none of the' : 'all'} ${step.stage?.migrations.length ?? 0}`
    },
    act: async (step) => {
      const { site, run, stage, fence } = step
      await requireApproved(site.journal, run, step.plan, step.stageNumber)
      await requireFilesAsPlanned(step)
      await beginAnew(step)
      await dropLeftInvalid(step)
      const narrows = isNarrowing(stage?.phase)
      if (narrows) await recordContractStarted(site.journal, run.name, true)
      try {
        await withinBudget(step)
      } catch (error) {
        // Where it was told to stop, the attempt after it looks.
        if (narrows && !fence.signal.aborted) await forgetUncommitted(step).catch(() => {})
        throw error
      }
      const done = isUndo(stage?.phase) ? 'taken back' : 'applied'
      return `${stage?.migrations.length ?? 0} ${done}, now at ${stage?.target}${await asRehearsed(site, stage)}`
    },
  })

/** An event of the journal: from then on what is done of what was half done is this fix's own work. */
const BEGUN_ANEW = 'begun anew'

/**
 * What the ledger marked as half done before the fix begins at its first statement, once: an attempt after this one, and whoever
 * finishes the run, goes on from what this one has done.
 */
async function beginAnew(step: Step): Promise<void> {
  const { site, run, plan, fence } = step
  const { halfDone: version, recovery } = plan.fix ?? {}
  if (version === undefined || (await recoveriesOf(site.journal, run.name)).at(-1) !== 'fix') return
  const events = await listEvents(site.journal, run.name)
  if (events.some(({ type, body }) => type === BEGUN_ANEW && body.recovery === recovery)) return
  await site.migrator.beginAnew?.({ tag: plan.tag ?? '', version }, site.target, fence)
  const text = `${version}, which was half done, is begun anew`
  await recordEvent(site.journal, run.name, BEGUN_ANEW, { text, recovery })
  fence.progress(text)
}

/** An expand stage can be put back at any time; a contract stage only as long as nothing of it has committed. */
async function decideCancel(step: Step): Promise<'stop' | 'go on'> {
  if (step.stage?.phase !== 'contract' || !(await hasCommitted(step))) return 'stop'
  await noteTooLate(step)
  return 'go on'
}

/** Older attempts have been ended by the fence: what has not committed by now never will. Throws `Cancelled`. */
async function requireTooLate(step: Step): Promise<void> {
  await reopen(step)
  if (await hasLeftSomething(step)) return noteTooLate(step)
  await recordContractStarted(step.site.journal, step.run.name, false)
  throw failure('Cancelled', 'stopped before anything of the stage had committed')
}

/** For the report. Twice is once. */
async function noteTooLate({ site, run }: Step): Promise<void> {
  const noted = await listEvents(site.journal, run.name)
  if (noted.some(({ type }) => type === TOO_LATE)) return
  await recordEvent(site.journal, run.name, TOO_LATE, {
    text: 'something of the contract stage had committed: it goes on to its end',
  })
}

/** A contract stage that failed by itself: where nothing of it has committed, the second point of no return was not reached. */
async function forgetUncommitted(step: Step): Promise<void> {
  const { site, run, fence, control } = step
  // The server may still be at what a tool that is gone had sent.
  await endSessionsNamed(control, (application) => application === fence.applicationName, END_WITHIN_MS)
  if (!(await hasLeftSomething(step))) await recordContractStarted(site.journal, run.name, false)
}

/** Versions of the stage that are still to be done, by the ledger. Throws `StateUnexpected` when it has what the plan does not know. */
export async function missingVersions(step: Step): Promise<string[]> {
  const { site, plan, stage } = step
  const ledger = await step.onTarget((session: Client) => asked(step, () => site.migrator.ledger(session, plan.tag)))
  const planned = plan.stages.flatMap(({ migrations }) => migrations.map(({ version }) => version))
  const known = new Set([...plan.applied.map(({ version }) => version), ...planned])
  const unknown = ledger.applied.filter(({ version }) => !known.has(version)).map(({ version }) => version)
  if (unknown.length > 0)
    throw failure('StateUnexpected', `the ledger has ${unknown.join(', ')}, which the plan does not know`)
  return stage ? stillToDo(stage, ledger).map(({ version }) => version) : []
}

/** People approved checksums, hours or days ago. Throws `PlanStale` when a file that is still to be applied is another one now. */
async function requireFilesAsPlanned(step: Step): Promise<void> {
  const { site, plan, stage } = step
  const missing = await missingVersions(step)
  await requireSameImage(step)
  await requireImagesAsPlanned(step)
  requireAsPlanned(
    await asked(step, () => (isUndo(stage?.phase) ? waysDown(step) : site.migrator.migrations(plan.tag ?? ''))),
    (stage?.migrations ?? []).filter(({ version }) => missing.includes(version)),
  )
}

const waysDown = ({ site: { migrator }, plan, stage, onTarget }: Step): Promise<Migration[]> =>
  onTarget(async (session) => {
    const ledger = await migrator.ledger(session, plan.tag)
    return (await migrator.waysDown?.({ tag: plan.tag ?? '', target: stage?.target ?? '' }, ledger)) ?? []
  })

/** Files are not all that a release's image decides. */
async function requireSameImage({ site, plan }: Step): Promise<void> {
  const image = await site.migrator.image?.(plan.tag ?? '', 'present')
  if (plan.migratorImage === image || plan.migratorImage === undefined) return
  throw failure(
    'PlanStale',
    `the image of the migrations is another one than the planned: ${image}, not ${plan.migratorImage}`,
  )
}

/**
 * An earlier attempt may have been killed while an index was built: half-built it stands in its own way, or is taken for built
 * where the statement says `if not exists`. Behind the gate nobody else builds any; in front of it the migrator drops only what
 * its SQL names.
 */
async function dropLeftInvalid(step: Step): Promise<void> {
  if (step.run.gate !== 'closed') return
  const { site, run, stageNumber } = step
  const begun = (await listSteps(site.journal, run.name)).filter(
    (one) => one.step === 'migrate' && one.stage === stageNumber,
  )
  // This attempt's own intent is one of them.
  if (begun.length < 2) return
  const { invalidIndexes, fileNodes } = await captureBefore(step)
  // One that was there is being dropped by the migration, and was not built by it.
  const before = [...invalidIndexes, ...Object.keys(fileNodes)]
  await step.onTarget((session) => dropNewInvalidIndexes(session, before, step.fence))
}

/** Runs the tool; a lock that was not to be had is tried for again within the budget, where nothing was left half done. */
async function withinBudget(step: Step): Promise<void> {
  const { site, plan, stage, fence } = step
  const { timeout, budget, statementTimeout } = site.configuration.locks
  const deadline = performance.now() + budget
  let blocked: Blocked[] = []
  for (let wait = BACKOFF_MS; ; wait = Math.min(wait * 1.5, LONGEST_BACKOFF_MS)) {
    let gaveWay = false
    try {
      await watched(
        step,
        ({ settled }) =>
          calling(step, {
            tag: plan.tag ?? '',
            target: stage?.target ?? '',
            planned: stage?.migrations ?? [],
            halfDone: plan.fix?.halfDone,
            lockTimeoutMs: timeout,
            lockBudgetMs: Math.max(timeout, Math.round(deadline - performance.now())),
            statementTimeoutMs: statementTimeout,
            asking: (work) => vouched(step, work, settled),
          }),
        {
          onBlocked: (seen) => {
            if (seen.length > 0) blocked = seen
            if (seen.length > 0) fence.progress(inWords(seen))
          },
          onGaveWay: () => {
            gaveWay = true
            fence.progress('gives way to those who wait behind us')
          },
        },
      )
      return
    } catch (error) {
      // Of a statement that was cancelled the tool says only that it was.
      const isBlocked = failedWith(error, 'MigrationBlocked') || (gaveWay && failedWith(error, 'MigrationFailed'))
      if (!isBlocked) throw error
      const mayRetry = performance.now() + wait < deadline && (await nothingHalfDone(step))
      if (!mayRetry) throw blocked.length > 0 ? named(error, blocked) : error
      await untilGone(step, blocked, wait * (0.75 + Math.random() / 2))
    }
  }
}

/** Waits until whoever stood in the way has let go, for `longestMs` at most: the next try may be right then. */
async function untilGone({ control, fence }: Step, blocked: readonly Blocked[], longestMs: number): Promise<void> {
  const holders = blocked.flatMap(({ blockers }) => blockers.map(({ pid }) => pid))
  const until = performance.now() + longestMs
  do {
    await pause(Math.min(HOLDERS_MS, longestMs), undefined, { signal: fence.signal })
    if (holders.length > 0 && !(await holdAny(control, holders))) return
  } while (performance.now() < until)
}

function calling({ site: { migrator, target }, stage, fence }: Step, request: UpRequest): Promise<ToolRun> {
  if (!isUndo(stage?.phase)) return migrator.up(request, target, fence)
  if (!migrator.down) throw failure('GuardFailed', 'the migrator has no way down any more')
  return migrator.down(request, target, fence).catch((error) => {
    throw advised(error, 'mend the way down, then start the rollback again; or go forward by a new migration')
  })
}

const inWords = (blocked: readonly Blocked[]): string =>
  blocked
    .map(({ waitingMs, blockers, behindUs }) => {
      const who = blockers.map(
        ({ pid, user, applicationName, state, ageMs }) =>
          `pid ${pid} (${user}, ${applicationName || 'unnamed'}, ${state}, ${Math.round(ageMs / 1000)} s)`,
      )
      return `waits ${waitingMs} ms for ${who.join(' and ')}; ${behindUs} wait behind us`
    })
    .join('; ')

/** In the place of what the tool said of it: of two failures the inner one would be told. */
const named = (error: unknown, blocked: readonly Blocked[]): Error =>
  failure('MigrationBlocked', `${messageOf(error)}: ${inWords(blocked)}`, undefined, {
    evidence: knownFailure(error)?.detail.evidence ?? FAILURES.MigrationBlocked.hint,
  })

/** Whether the try that failed has left nothing but whole migrations. */
async function nothingHalfDone(step: Step): Promise<boolean> {
  const { site, plan } = step
  const capture = await captureBefore(step)
  return step.onTarget(async (session) => {
    const seen = await compareWithCapture(step, session, capture)
    return seen.unchanged || isLedgerAll(step, seen, await site.migrator.ledger(session, plan.tag))
  })
}
