import { backupsOfStage } from '../adapters/journal/backups.js'
import { JOURNAL_REBUILT } from '../adapters/journal/rebuild.js'
import { recordContractStarted } from '../adapters/journal/runs.js'
import { listEvents, listSteps, recordEvent, type StepRecord } from '../adapters/journal/steps.js'
import { failedWith, messageOf } from '../domain/failures.js'
import type { Manifest } from '../domain/manifest.js'
import {
  type DatabaseFound,
  type Headed,
  type ImageFound,
  type Recovery,
  recoveryFor,
  type Stranded,
  type StrandedRun,
} from '../domain/recovery.js'
import { stillToDo } from '../domain/plan.js'
import type { StepName } from '../domain/run.js'
import { captureOf } from './capture.js'
import { fenced, recorded, type Step } from './changing.js'
import { discardUnfinished } from './discard-unfinished.js'
import { onClosedOrOpen, reopen, shut, whyOpen } from './gate.js'
import { type Around, hasNoRestore, lookAround } from './look-around.js'
import { after, before, isOn, type Running, runningOf } from './running.js'
import type { Dependencies } from './site.js'
import { quarantinesOf } from './swap-in.js'
import { proveStage } from './verify.js'

/**
 * Looks at everything a run left that nobody carries any more, and says what should be done with it. Takes the fence: what
 * the old run still does is ended first. Removes unfinished backups of its stage; behind a closed gate it shuts the database,
 * and leaves it shut where a person has to choose. Twice is once.
 */
export const lookStranded =
  (dependencies: Dependencies) =>
  (runName: string, stageNumber: number): Promise<StrandedRun> =>
    fenced(dependencies, 'look-around', runName, stageNumber, (step) =>
      recorded(step, 'look-around', async () => {
        await discardUnfinished(step)
        const rows = (await listSteps(step.site.journal, runName)).filter(({ stage }) => stage === stageNumber)
        const isSwapped = await isInPlace(step, rows)
        const isRebuilt = (await listEvents(step.site.journal, runName)).some(({ type }) => type === JOURNAL_REBUILT)
        const found = await strandedAt(step, rows, { isSwapped, isRebuilt })
        const recovery = {
          ...(isRebuilt ? FORGOTTEN : recoveryFor(found)),
          found,
          isSwapped,
          isOver: isOver(step, rows),
          isPaused: isPaused(rows),
        }
        // Where nothing could be put back, whoever must decide must be able to look.
        if (!recovery.automatic && found.gate === 'open') await reopen(step)
        await recordEvent(step.site.journal, runName, 'recovery', { ...recovery })
        return recovery
      }),
    )

/** What was captured before the stage is gone with the journal: nothing of what is there now can be compared with it. */
const FORGOTTEN: Recovery = {
  do: 'ask',
  automatic: false,
  why: 'the journal had lost the run: what it was like before is not known',
}

/**
 * Whether a backup was put in place, and nobody has migrated what is there since: the newest quarantine tells after how many
 * recoveries it was.
 */
async function isInPlace(step: Step, rows: readonly StepRecord[]): Promise<boolean> {
  const [newest] = await quarantinesOf(step)
  if (newest === undefined) return false
  const next = (await listEvents(step.site.journal, step.run.name)).filter(({ type }) => type === 'recover')[newest]
  const isLater = ({ step: name, startedAt }: StepRecord): boolean =>
    name === 'migrate' && !!next && startedAt > next.at
  return !rows.some(isLater)
}

/** In the order in which a stage has them. */
const LETTING_IN = ['verify', 'restart-services', 'smoke', 'resume-consumers', 'release-autodeploy'] as const
const HOLDING: readonly StepName[] = [
  'hold-autodeploy',
  'pause-consumers',
  'quiesce-writers',
  'migrate',
  'put-back',
  'restore-backup',
]
const GOING_BACK: readonly StepName[] = ['put-back', 'redeploy-previous', 'release-writers']

/** It waited for the approval of the next one, or was about to end: whatever the stage does last is done, and nothing was begun after it. */
function isOver({ site, run, plan }: Step, rows: readonly StepRecord[]): boolean {
  const last: StepName = plan.autodeploys?.length
    ? 'release-autodeploy'
    : plan.consumers.length > 0
      ? 'resume-consumers'
      : site.smoke.length > 0
        ? 'smoke'
        : plan.services.length > 0 || run.gate !== undefined
          ? // It opens a gate that was closed, also where nothing is started.
            'restart-services'
          : 'verify'
  const relevant: readonly string[] = [...HOLDING, ...GOING_BACK, ...LETTING_IN]
  const newest = rows.findLast(({ step }) => relevant.includes(step))
  return newest?.step === last && newest.state === 'done'
}

function isPaused(rows: readonly StepRecord[]): boolean {
  const newest = rows.findLast(({ step }) => step === 'pause-consumers' || step === 'resume-consumers')
  return newest !== undefined && !(newest.step === 'resume-consumers' && newest.state === 'done')
}

async function strandedAt(
  step: Step,
  rows: readonly StepRecord[],
  { isSwapped, isRebuilt }: { isSwapped: boolean; isRebuilt: boolean },
): Promise<Stranded> {
  const { site, run, stage, stageNumber } = step
  const backups = (await backupsOfStage(site.journal, run.name, stageNumber))
    .filter(({ state }) => state === 'valid')
    .map(({ manifest }) => manifest)
  const capture = await captureOf(step)
  const around = capture && !isSwapped ? await lookAround(step, capture, backups) : undefined
  const image = await imageFound(step, rows)
  const database = await databaseFound(step, isSwapped, image, around)
  // What a rebuilt run has captured is what a person's way out began with, not what the run did.
  if (run.contractStarted && !isRebuilt && (around ? leftNothing(database, around) : isSwapped)) {
    await recordContractStarted(site.journal, run.name, false)
    run.contractStarted = false
  }
  const verified = database === 'at-target' && (await isVerified(step, isSwapped))
  return {
    database,
    gate: around !== undefined && (await isClosed(step, around, database, verified)) ? 'closed' : 'open',
    verified,
    contractStarted: hasNoRestore(run, stage),
    image,
    deploysImage: stage?.deploysImage ?? false,
    restores: stage?.phase === 'restore',
    headed: await headed(step, rows),
    backup: backups.some((one: Manifest) => one.gate === 'closed'),
  }
}

async function databaseFound(
  step: Step,
  isSwapped: boolean,
  image: ImageFound,
  around: Around | undefined,
): Promise<DatabaseFound> {
  const phase = step.stage?.phase
  // A run that restores is at its target once the backup is in place; any other is back where it began.
  if (isSwapped) return phase === 'restore' ? 'at-target' : 'as-before'
  if (phase === 'image') return image === 'after' ? 'at-target' : 'as-before'
  // Without a capture the stage never came to its first statement.
  if (!around || around.found.unchanged || around.found.rowsEqual) return 'as-before'
  const missing = await missingFromLedger(step)
  if (missing === undefined) return 'unread'
  if (missing === 'half done') return 'partial'
  if (missing.length === 0) return 'at-target'
  return missing.every(({ transactional }) => transactional) ? 'prefix' : 'partial'
}

type Missing = { transactional: boolean }[]

/** What the ledger lacks of the stage; undefined where it cannot tell. */
async function missingFromLedger(step: Step): Promise<Missing | 'half done' | undefined> {
  const { site, plan, stage, fence } = step
  // A tool that tells of its own ledger comes in by itself.
  if (site.migrator.ledgerTable === undefined) await reopen(step)
  try {
    const ledger = await onClosedOrOpen(step, (session) => site.migrator.ledger(session, plan.tag))
    if (ledger.dirty !== undefined) return 'half done'
    return stage ? stillToDo(stage, ledger) : []
  } catch (error) {
    fence.progress(`the ledger cannot be read: ${messageOf(error)}`)
    return undefined
  }
}

/** Nothing of the stage has committed: the second point of no return was not reached. */
const leftNothing = (database: DatabaseFound, { found, comparison }: Around): boolean =>
  database === 'as-before' ||
  (database === 'prefix' &&
    found.applied === 'none' &&
    comparison.schemaDifferences.length + comparison.rewrittenTables.length + comparison.newInvalidIndexes.length === 0)

/** Asked now. What was put in place was proven equal to its backup before it was. */
async function isVerified(step: Step, isSwapped: boolean): Promise<boolean> {
  if (isSwapped || step.stage?.phase === 'image') return true
  await reopen(step)
  try {
    await proveStage(step)
    return true
  } catch (error) {
    if (failedWith(error, 'VerifyFailed') || failedWith(error, 'StateUnexpected')) return false
    throw error
  }
}

/** Until now: whoever came in while it was verified is counted, and nobody comes in any more where somebody may have to choose. */
async function isClosed(step: Step, { found }: Around, database: DatabaseFound, verified: boolean): Promise<boolean> {
  if (found.openBecause !== undefined || step.plan.noRestoreBecause !== undefined) return false
  if (database === 'as-before' || verified) return true
  await shut(step)
  return (await whyOpen(step, 'nobody')) === undefined
}

/** Where nothing was begun with a service, it has the image of before: intent comes before effect. */
async function imageFound(step: Step, rows: readonly StepRecord[]): Promise<ImageFound> {
  const { site, plan, stage, stageNumber, fence } = step
  const newest = rows.findLast(({ step: name }) => name === 'restart-services' || name === 'redeploy-previous')
  if (newest === undefined) return 'before'
  // One that was cut off may have left down what the run had not stopped: nobody would start it.
  const isCutOff = newest.state !== 'done' && plan.services.some(({ name }) => !plan.quiesces.includes(name))
  const isOut = plan.stages.some(({ number, deploysImage }) => deploysImage && number < stageNumber)
  const now = new Map<string, Running>()
  for (const { service } of site.services)
    now.set(service.name, await runningOf(service, fence.signal).catch(() => ({})))
  const runs = (isAfter: boolean): boolean =>
    plan.services.every((planned) => {
      const what = isAfter ? after(planned) : before(planned)
      return what.tag !== undefined && isOn(now.get(planned.name) ?? {}, what)
    })
  if (stage?.deploysImage && runs(true)) return 'after'
  return runs(isOut) && !isCutOff ? 'before' : 'unknown'
}

/** A person who chose a way out has had his reasons. */
async function headed({ site, run }: Step, rows: readonly StepRecord[]): Promise<Headed> {
  const choices = (await listEvents(site.journal, run.name)).filter(({ type }) => type === 'recover')
  if (choices.some(({ body }) => body.choice !== 'automatic')) return 'by a person'
  return rows.some(({ step }) => (GOING_BACK as readonly string[]).includes(step)) ? 'back' : 'forward'
}
