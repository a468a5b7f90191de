import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { recordContractStarted } from '../adapters/journal/runs.js'
import { requireAsPlanned } from '../adapters/migrator/pending.js'
import type { Blocked } from '../adapters/postgres/activity.js'
import { FAILURES, failedWith, failure, messageOf } from '../domain/failures.js'
import { captureBefore, compareWithCapture } from './capture.js'
import { type Changing, type ChangingActivity, changing, type Step } from './changing.js'
import { reopen } from './gate.js'
import type { Dependencies } from './site.js'
import { watched } from './watch.js'

const BACKOFF_MS = 500

/**
 * Applies the stage's migrations, as far as the ledger does not have them. A cancel that finds a contract stage with
 * something committed came too late: what is left is applied, by an attempt that no cancel reaches.
 */
export const migrateStage =
  (dependencies: Dependencies): ChangingActivity =>
  async (run, stage) => {
    try {
      return await migrating(dependencies, stopsUncommitted)(run, stage)
    } catch (error) {
      if (!failedWith(error, 'TooLate')) throw error
      return migrating(dependencies, async () => 'go on')(run, stage)
    }
  }

const migrating = (dependencies: Dependencies, onCancel: NonNullable<Changing['onCancel']>): ChangingActivity =>
  changing(dependencies, {
    step: 'migrate',
    onCancel,
    observe: async (step) => {
      // A run that a person recovers may have been left with its database closed.
      await reopen(step)
      await captureBefore(step)
      const missing = await missingVersions(step)
      return missing.length === 0 ? `the ledger has all ${step.stage?.migrations.length ?? 0}` : undefined
    },
    act: async (step) => {
      const { site, run, stage } = step
      await requireFilesAsPlanned(step)
      const contract = stage?.phase === 'contract'
      if (contract) await recordContractStarted(site.journal, run.name, true)
      try {
        await upWithinBudget(step)
      } catch (error) {
        if (contract) await decideContract(step, error)
        throw error
      }
      return `${stage?.migrations.length ?? 0} applied, now at ${stage?.target}`
    },
  })

/** An expand stage can be put back at any time; a contract stage only as long as nothing of it has committed. */
async function stopsUncommitted(step: Step): Promise<'stop' | 'go on'> {
  return step.stage?.phase !== 'contract' || (await nothingChanged(step)) ? 'stop' : 'go on'
}

/** Versions of the stage that the ledger does not have. Throws `StateUnexpected` when it has what the plan does not know. */
export async function missingVersions(step: Step): Promise<string[]> {
  const { site, plan, stage } = step
  const ledger = await step.onTarget((session: Client) => site.migrator.ledger(session, step.plan.tag))
  const planned = plan.stages.flatMap(({ migrations }) => migrations.map(({ version }) => version))
  const known = new Set([...plan.applied.map(({ version }) => version), ...planned])
  const unknown = ledger.applied.filter(({ version }) => !known.has(version)).map(({ version }) => version)
  if (unknown.length > 0)
    throw failure('StateUnexpected', `the ledger has ${unknown.join(', ')}, which the plan does not know`)
  const applied = new Set(ledger.applied.map(({ version }) => version).filter((version) => version !== ledger.dirty))
  return (stage?.migrations ?? []).map(({ version }) => version).filter((version) => !applied.has(version))
}

/** People approved checksums, hours or days ago. Throws `PlanStale` when a file that is still to be applied is another one now. */
async function requireFilesAsPlanned(step: Step): Promise<void> {
  const { site, plan, stage } = step
  const missing = await missingVersions(step)
  requireAsPlanned(
    await site.migrator.migrations(plan.tag ?? ''),
    (stage?.migrations ?? []).filter(({ version }) => missing.includes(version)),
  )
}

/** Runs the tool; a lock that was not to be had is tried again within the budget, as long as nothing changed. */
async function upWithinBudget(step: Step): Promise<void> {
  const { site, plan, stage, fence } = step
  const { timeout, budget, statementTimeout } = site.configuration.locks
  const deadline = performance.now() + budget
  let blocked: Blocked[] = []
  for (let wait = BACKOFF_MS; ; wait = Math.min(wait * 1.5, 5_000)) {
    try {
      await watched(
        step,
        () =>
          site.migrator.up(
            {
              tag: plan.tag ?? '',
              target: stage?.target ?? '',
              planned: stage?.migrations ?? [],
              lockTimeoutMs: timeout,
              lockBudgetMs: Math.max(timeout, Math.round(deadline - performance.now())),
              statementTimeoutMs: statementTimeout,
            },
            site.target,
            fence,
          ),
        (seen) => {
          if (seen.length > 0) blocked = seen
          if (seen.length > 0) fence.progress(inWords(seen))
        },
      )
      return
    } catch (error) {
      const mayRetry =
        failedWith(error, 'MigrationBlocked') && performance.now() + wait < deadline && (await nothingChanged(step))
      if (!mayRetry) throw blocked.length > 0 && failedWith(error, 'MigrationBlocked') ? named(error, blocked) : error
      await pause(wait * (0.75 + Math.random() / 2), undefined, { signal: fence.signal })
    }
  }
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

const named = (error: unknown, blocked: readonly Blocked[]): Error =>
  failure('MigrationBlocked', `${messageOf(error)}: ${inWords(blocked)}`, error, {
    evidence: FAILURES.MigrationBlocked.hint,
  })

async function nothingChanged(step: Step): Promise<boolean> {
  const capture = await captureBefore(step)
  const comparison = await step.onTarget((session) => compareWithCapture(step, session, capture))
  return comparison.unchanged
}

/**
 * A contract stage that failed or was told to stop. Nothing committed: the second point of no return was not reached.
 * Something committed although it was told to stop: too late, it goes on. Else it is for a person.
 */
async function decideContract(step: Step, error: unknown): Promise<void> {
  const { site, run, beat } = step
  if (failedWith(error, 'FenceLost')) return
  if (await nothingChanged(step)) await recordContractStarted(site.journal, run.name, false)
  else if (beat.isCancelled()) throw failure('TooLate', 'the contract stage has committed already', error)
}
