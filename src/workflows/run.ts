import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow'
import { endingOf, outcomeAfter, SUCCEEDED } from '../domain/ending.js'
import { FAILURES, failedWith, failure, type KnownFailure, knownFailure, messageOf } from '../domain/failures.js'
import { isMigrating, isUndo, type PlanSummary, type RunKind, type StageSummary } from '../domain/plan.js'
import type {
  Carried,
  DatabaseState,
  Ending,
  RecoverChoice,
  RecoverWay,
  RunInput,
  RunState,
  StepName,
} from '../domain/run.js'
import type { StrandedRun } from '../domain/recovery.js'
import { Decisions, type Question } from './decisions.js'
import { Display } from './display.js'
import { stateQuery } from './messages.js'
import { activities } from './proxies.js'
import { StepTable } from './step-table.js'
import { Steering } from './steering.js'
import { cancelStops, RULES, type RunbookStep } from './steps.js'

/** Before the plan is known. */
const DEFAULT_HEARTBEAT_MS = 10_000
/**
 * One run's position, waits and messages. It knows order and waiting; every choice about databases, services and
 * consumers is made in an activity.
 */
export class Run {
  readonly #kind: RunKind
  readonly #input: RunInput
  readonly isFirst: boolean
  #summary: PlanSummary | undefined
  #stageIndex = 0
  #earlierStageDone = false
  #redeployed = false
  #database: DatabaseState = 'untouched'
  #databaseText: string | undefined
  #deadline: number | undefined
  #stranded: StrandedRun | undefined
  /** Until then the plan is the one that failed, and no digest of what this recovery will do. */
  #isFixPlanned = false
  #ending: Ending | undefined
  readonly #table: StepTable
  readonly #steering: Steering
  readonly #decisions: Decisions
  readonly #display = new Display()

  constructor(kind: RunKind, input: RunInput) {
    const { carried } = input
    this.#kind = kind
    this.#input = input
    this.isFirst = carried === undefined
    this.#summary = carried?.summary
    this.#stageIndex = carried?.stageIndex ?? 0
    this.#earlierStageDone = carried?.earlierStageDone ?? false
    this.#table = new StepTable(carried?.lines ?? [], () => this.#show())
    this.#steering = new Steering(carried?.held ?? false, () => this.#show())
    this.#decisions = new Decisions(carried ?? { decisions: [], refusals: 0 }, {
      question: () => this.#question(),
      check: (stage, decision, message) => {
        const title = `${decision === 'approve' ? 'check approval' : 'note rejection'} of stage ${stage}`
        return this.#activities('quick', title).checkApproval(this.name, stage, decision, message)
      },
    })
    if (this.#summary) upsertMemo({ run: this.#summary.run, digest: this.#summary.digest })
    setHandler(stateQuery, () => this.#state())
    this.#steering.listen()
    this.#decisions.listen()
    this.#show()
  }

  get name(): string {
    return this.#summary?.run ?? ''
  }

  /** Where the run stands; undefined before and after the stages. */
  get #stage(): StageSummary | undefined {
    return this.#summary?.stages[this.#stageIndex]
  }

  /** Freezes what will be done and opens the run in the journal. */
  async plan(): Promise<void> {
    const { project, environment, tag, requester, digest, backup, mark, downTo, drop } = this.#input
    const { workflowId, runId, firstExecutionRunId, startTime } = workflowInfo()
    const request = {
      kind: this.#kind,
      project,
      environment,
      requester,
      workflowId,
      workflowRunId: runId,
      firstRunId: firstExecutionRunId,
      startedAt: startTime.toISOString(),
      ...(tag === undefined ? {} : { tag }),
      ...(digest === undefined ? {} : { digest }),
      ...(backup === undefined ? {} : { backup }),
      ...(mark === undefined ? {} : { mark }),
      ...(downTo === undefined ? {} : { downTo }),
      ...(drop === undefined ? {} : { drop }),
    }
    const title = tag === undefined ? `plan ${environment}` : `plan ${environment} to ${tag}`
    // A cancel waits for its answer: only a run whose name is known can be ended in the journal.
    this.#summary = await this.#line('plan', title, () =>
      activities('quick', DEFAULT_HEARTBEAT_MS, title).plan(request),
    )
    upsertMemo({ run: this.name, digest: this.#summary.digest })
    this.#show()
  }

  /** Takes over the run that is open, with a new epoch: its plan, at the stage where it stopped. */
  async takeOver(): Promise<void> {
    const { project, environment, requester, recover, tag } = this.#input
    if (!recover) throw failure('InputInvalid', 'recover needs a choice')
    const title = `take over the open run to ${recover.choice === 'automatic' ? 'look at it' : recover.choice}`
    this.#steering.refuseCancel(tooLate(title))
    this.#summary = await this.#line('plan', title, () =>
      activities('quick', DEFAULT_HEARTBEAT_MS, title).openRecovery({
        ...{ project, environment, requester, ...recover },
        ...(tag === undefined ? {} : { tag }),
      }),
    )
    this.#show()
  }

  /** Plans what is left of the run that was taken over, with the release that mends it. */
  async planFix(): Promise<void> {
    const { tag } = this.#input
    const title = `plan what is left${tag === undefined ? '' : ` with ${tag}`}`
    const { summary } = await this.#line('plan', title, () => this.#fixPlan(title))
    this.#replan(summary)
  }

  #fixPlan(title: string): Promise<{ same: boolean; summary: PlanSummary }> {
    const { tag, requester } = this.#input
    return this.#activities('long', title).planFix(this.name, this.#stageNumber, {
      by: requester.by,
      ...(tag === undefined ? {} : { tag }),
      approved: this.#summary?.digest ?? '',
    })
  }

  #replan(summary: PlanSummary): void {
    this.#summary = summary
    this.#isFixPlanned = true
    upsertMemo({ run: this.name, digest: summary.digest })
    this.#show()
  }

  get choice(): RecoverChoice | 'automatic' {
    return this.#input.recover?.choice ?? 'accept'
  }

  /** What a run that nobody carried left, and what should be done with it. Cannot be cancelled: it only looks. */
  async lookAround(): Promise<StrandedRun> {
    const title = 'look at what the run left'
    try {
      const found = await this.#line('look-around', title, () =>
        this.#activities('restoring', title).lookStranded(this.name, this.#stageNumber),
      )
      this.#table.note('look-around', `${found.do}: ${found.why}`)
      this.#stranded = found
      return found
    } catch (error) {
      throw failure('NeedsOperator', `could not ${title}: ${messageOf(error)}`, error)
    }
  }

  /** Whether the present stage changes the schema. */
  get migrates(): boolean {
    return isMigrating(this.#stage?.phase)
  }

  /** Whether anything that deploys by itself is held while a stage runs. */
  get holds(): boolean {
    return this.#summary?.holds ?? false
  }

  /** Whether the present stage puts a backup in place. */
  get restores(): boolean {
    return this.#stage?.phase === 'restore'
  }

  /** Whether the run takes applied migrations back. */
  get #goesDown(): boolean {
    return this.#summary?.stages.some(({ phase }) => isUndo(phase)) ?? false
  }

  /** Where the image that runs is another one than before the run only once a stage has brought it. */
  get #servicesDown(): string {
    const done = this.#summary?.stages.slice(0, this.#stageIndex) ?? []
    return done.some(({ deploysImage }) => deploysImage) ? SUCCEEDED.rollback.services : SUCCEEDED.migrate.services
  }

  /** The stages that are left; a continued run starts where it waited. */
  *stagesLeft(): Generator<StageSummary> {
    for (let stage = this.#stage; stage !== undefined; stage = this.#stage) yield stage
  }

  stageDone(): void {
    this.#stageIndex += 1
    this.#earlierStageDone = true
    this.#redeployed = false
    this.#database = 'untouched'
  }

  /** A point where the gate is open: a hold takes effect here, and a cancel costs nothing. */
  async openPoint(): Promise<void> {
    this.#steering.allowCancel()
    if (this.#steering.isHeld) await this.#steering.whileHeld()
    this.#steering.throwIfCancelled()
  }

  /** One step of the runbook. A cancel stops it where the table says so; `onFailure: hold` waits for `retry`. */
  async step(step: RunbookStep): Promise<void> {
    for (;;) {
      // Also while it is held: where a cancel would stop nothing any more, nobody is told that it does.
      if (!cancelStops(step, this.#stage)) this.#steering.refuseCancel(tooLate(RULES[step].title(this.#stage)))
      if (this.#steering.heldNowBy !== undefined) await this.#heldBefore(step, this.#steering.heldNowBy)
      if (cancelStops(step, this.#stage)) this.#steering.throwIfCancelled()
      try {
        await this.#attempt(step)
        return
      } catch (error) {
        // What a person is needed for, and what is another's now, no retry mends.
        const isOver = failedWith(error, 'NeedsOperator') || failedWith(error, 'RunTaken')
        if (!this.#summary?.holdOnFailure || this.#steering.cancelled || isOver) throw error
        this.#table.note(step, `failed, held: ${messageOf(error)}`)
        const why = `held after a failure, ${this.#whereBefore(step)}: ${messageOf(error)}; headgate retry ${this.name}`
        // It is held whether anybody could be told or not, and a retry is heard meanwhile.
        void this.#tellHeld(why).catch(() => {})
        if (!(await this.#steering.retryAsked())) throw error
      }
    }
  }

  /** With alarm: the gate may be closed, and consumers paused, for as long as nobody lifts the hold. */
  async #heldBefore(step: RunbookStep, by: string): Promise<void> {
    await this.#tellHeld(`held by ${by}, ${this.#whereBefore(step)}: headgate continue ${this.name}`)
    await this.#steering.whileHeld()
  }

  #whereBefore(step: RunbookStep): string {
    return `in stage ${this.#stageNumber}, before it goes on to ${RULES[step].title(this.#stage)}`
  }

  async #tellHeld(text: string): Promise<void> {
    await this.#activities('quick', 'tell that the run is held').notify(this.name, 'held', text)
  }

  /** A step past the point of no return: it is tried long, then a person is told. */
  async certainly(step: RunbookStep): Promise<void> {
    try {
      await this.#attempt(step)
    } catch (error) {
      throw failure('NeedsOperator', `could not ${RULES[step].title(this.#stage)}: ${messageOf(error)}`, error)
    }
  }

  /** One undo. Never cancelled, never held. */
  async undo(step: RunbookStep): Promise<void> {
    await this.#attempt(step)
    if (step === 'redeploy-previous') this.#redeployed = this.#table.has('restart-services', this.#stageNumber)
  }

  /** The cheapest sufficient way back for the database; which one it is, is found below by looking. */
  async putBack(): Promise<void> {
    const title = 'put the database back'
    this.#steering.refuseCancel(tooLate(title))
    const back = await this.#line('put-back', title, () =>
      this.#activities('restoring', title).putBack(this.name, this.#stageNumber),
    )
    this.#database = back.state
    this.#databaseText = back.text
    this.#table.note('put-back', back.text)
  }

  /**
   * Waits for a person where the stage asks for one, with the gate open and everything running. Enters the wait by
   * continuing as new: the steps before it never replay on newer code.
   */
  async approvalOf(stage: StageSummary): Promise<void> {
    if (!stage.approval) return
    if (this.isFirst || this.#input.carried?.stageIndex !== this.#stageIndex) await this.#continueAsNew()
    await this.#awaitApproval(stage)
  }

  /** As `approvalOf`, of the stage that a recovery goes on with. It waits where it is: this very execution carries the run. */
  async approval(): Promise<void> {
    if (this.#stage?.approval) await this.#awaitApproval(this.#stage)
  }

  async #awaitApproval(stage: StageSummary): Promise<void> {
    const what =
      stage.phase === 'restore'
        ? 'the restore'
        : `${isUndo(stage.phase) ? 'taking back ' : ''}${stage.count} ${stage.phase.replace('undo-', '')} ${stage.count === 1 ? 'migration' : 'migrations'}`
    const askers = this.#summary?.requesters ?? [this.#input.requester.by]
    const notBy = this.#summary?.requesterMayApprove === false ? `, not by ${askers.join(' or ')}, who asked` : ''
    const still = this.#kind === 'recover' ? '; what the run has paused and stopped stays so' : ''
    const title = `wait for approval of ${what}${notBy}${still}`
    await this.#line('await-approval', title, async () => {
      // A plan that was replaced meanwhile is asked for anew, with all the time there is for it.
      let why = ''
      do {
        const text = `${why}${this.#approveCommand()}${still}`
        await this.#activities('quick', 'tell who may approve').notify(this.name, 'waiting', text)
        why = 'what was approved is not what would be done any more, it is asked for anew: '
        this.#deadline = Date.now() + (this.#summary?.approvalTimeoutMs ?? 0)
        await this.#awaitDecision(stage)
      } while (!(await this.#confirmed()))
    })
    if (this.#steering.isHeld) await this.#steering.whileHeld()
  }

  /** Every stage is done. */
  async succeeded(): Promise<Ending> {
    if (this.#kind === 'recover') return this.#recovered()
    const hasStages = !STAGELESS.has(this.#kind)
    const nothing = hasStages && this.#summary?.stages.length === 0
    return this.#end(
      endingOf({
        ...this.#configured(),
        run: this.name,
        outcome: 'succeeded',
        reason: nothing ? 'nothing to do' : 'every step is done',
        ...SUCCEEDED[this.#kind],
        ...(this.#goesDown
          ? { database: `down to ${this.#summary?.stages.at(-1)?.target}, verified`, services: this.#servicesDown }
          : {}),
        ...(this.#databaseText === undefined ? {} : { database: this.#databaseText }),
        ...(nothing
          ? {
              database: 'unchanged, nothing pending',
              services: 'as before',
              next: `headgate info ${this.#input.environment}${this.#tagOption()}`,
            }
          : {}),
      }),
    )
  }

  /** Where the database is at its target on the image of before, letting go is what a person would accept. */
  get #way(): RecoverWay {
    if (this.choice !== 'automatic') return this.choice
    if (this.#stranded?.do === 'resume') return this.#stranded.found.database === 'at-target' ? 'accept' : 'resume'
    return 'finish'
  }

  /** The open run, ended as a person chose, or by itself: what is what is looked at once more, and said. */
  async #recovered(): Promise<Ending> {
    const title = `say what is what after ${this.#way}`
    const asked = this.choice === 'automatic' ? {} : { by: this.#input.requester.by }
    const how = {
      ...asked,
      way: this.#way,
      ...(this.#stranded ? { isSwapped: this.#stranded.isSwapped, why: this.#stranded.why } : {}),
    }
    const found = await this.#line('accept', title, () =>
      this.#activities('certain', title).observeRecovered(this.name, this.#stageNumber, how),
    ).catch((error: unknown) => failure('NeedsOperator', `could not ${title}: ${messageOf(error)}`, error))
    if (found instanceof Error) return this.failed(found)
    const { isOpen, ...facts } = found
    const database = [facts.database, this.#databaseText].filter(Boolean).join('; ')
    const ending = endingOf({ ...this.#configured(), run: this.name, ...facts, database })
    return this.#end(isOpen ? ending : { ...ending, exit: 0 })
  }

  /** The run failed or was cancelled, and its saga has undone what it could. */
  async failed(error: unknown): Promise<Ending> {
    // A run whose recovery failed is open: whatever it came to before still is.
    const isRecovery = this.#kind === 'recover' && this.#summary !== undefined
    const needsOperator = isRecovery || failedWith(error, 'NeedsOperator')
    const known = knownFailure(error) ?? UNEXPECTED
    const cancelled = failedWith(error, 'Cancelled')
    const outcome = outcomeAfter({
      needsOperator,
      earlierStageDone: this.#earlierStageDone,
      redeployed: this.#redeployed,
      database: this.#database,
    })
    const isInStage = (step: StepName): boolean => this.#table.has(step, this.#stageNumber)
    const paused = this.#stranded?.isPaused ?? (isInStage('pause-consumers') && !isInStage('resume-consumers'))
    return this.#end(
      endingOf({
        ...this.#configured(),
        run: this.name,
        outcome,
        cause: cancelled ? 'person' : FAILURES[known.code].cause,
        reason: needsOperator ? outermost(error) : messageOf(error),
        failure: outcome === 'needs-operator' ? needsOperatorAfter(known) : known,
        database: this.#databaseText,
        ...(this.#kind === 'migrate' && !needsOperator ? { services: SUCCEEDED.migrate.services } : {}),
        ...(this.#goesDown && outcome === 'deferred'
          ? { database: this.#databaseText ?? 'as the stages before left it', services: this.#servicesDown }
          : {}),
        paused,
        ...this.#notTakenOver(),
      }),
      error,
    )
  }

  /** Of a recovery that was refused before it took the open run over: that one is as it was, and waits still. */
  #notTakenOver(): { database: string; services: string; pauses: false } | undefined {
    if (this.#kind !== 'recover' || this.#summary) return undefined
    const [database, services] = ['as the open run left it: nothing was begun', 'as the open run left them']
    return { database, services, pauses: false }
  }

  #configured(): { serves: boolean; pauses: boolean } {
    // A plan that makes a database has no services in it, and touches none.
    return {
      serves: this.#kind === 'init-db' || (this.#summary?.serves ?? true),
      pauses: this.#summary?.pauses ?? true,
    }
  }

  /** Whether a person's cancel ended the run: its workflow closes as cancelled then. */
  get cancelledBy(): string | undefined {
    return this.#steering.cancelled?.by
  }

  async #end(ending: Ending, error?: unknown): Promise<Ending> {
    this.#steering.refuseCancel('the run is ending')
    await this.#tidy(ending)
    const known = knownFailure(error)
    // A plan that was refused opened nothing: there is no run in the journal to end.
    this.#ending = this.#summary
      ? await this.#line('report', 'write the report', () =>
          this.#activities('certain', `report ${ending.outcome}`).conclude(this.name, ending, {
            cancelWorkflow: ending.outcome !== 'needs-operator' && this.#steering.cancelled?.native === false,
            ...(known?.detail.evidence === undefined ? {} : { evidence: known.detail.evidence }),
            ...(error === undefined || this.#kind === 'recover' ? {} : { knows: this.#known }),
          }),
        )
      : { ...ending, next: this.#lookAgain() }
    this.#show()
    await condition(allHandlersFinished)
    return this.#ending
  }

  /** What this very execution did, or tried, of the present stage: one that was reset does not know of all. */
  get #known(): { stage: number; steps: StepName[] } {
    const stage = this.#stageNumber
    return { stage, steps: this.#table.lines.filter((line) => line.stage === stage).map(({ step }) => step) }
  }

  /** Where there is no run to report: what shows how things stand. */
  #lookAgain(): string {
    const { environment, recover } = this.#input
    if (this.#kind === 'recover') return `headgate recover ${recover?.run ?? environment}`
    if (this.#kind !== 'deploy' && this.#kind !== 'migrate') return `headgate status ${environment}`
    return `headgate plan ${environment}${this.#tagOption()}`
  }

  #tagOption(): string {
    return this.#input.tag === undefined ? '' : ` --tag ${this.#input.tag}`
  }

  /** The clone has served once the database is proven and its dump is kept. Housekeeping never changes an outcome. */
  async #tidy({ outcome }: Ending): Promise<void> {
    if (!this.#summary?.clones || (outcome !== 'succeeded' && outcome !== 'aborted')) return
    // One that was reset to before it would drop the way back of a stage that it knows nothing of.
    if (outcome === 'aborted' && !this.#table.has('backup', this.#stageNumber)) return
    await this.#attempt('tidy-backups').catch(() => {})
  }

  get #stageNumber(): number {
    return this.#stage?.number ?? 0
  }

  #activities(promise: Parameters<typeof activities>[0], title: string): ReturnType<typeof activities> {
    return activities(promise, this.#summary?.heartbeatMs ?? DEFAULT_HEARTBEAT_MS, title)
  }

  async #attempt(step: RunbookStep): Promise<void> {
    const rule = RULES[step]
    const title = rule.title(this.#stage)
    const call = (): Promise<string> =>
      this.#activities(rule.promise, title)[rule.activity](this.name, this.#stageNumber)
    if (!cancelStops(step, this.#stage)) {
      this.#steering.refuseCancel(tooLate(title))
      const note = await this.#line(step, title, call)
      this.#table.note(step, note)
      // Whoever restores must read at the end what was put in place, and what was put aside.
      if (step === 'restore-backup') this.#databaseText = note
      return
    }
    this.#steering.allowCancel()
    const settling = this.#settling(step)
    const note = await this.#line(step, title, () =>
      settling === undefined
        ? this.#steering.stoppable(call)
        : this.#steering.stoppableUntilCommitted(call, () =>
            this.#activities(rule.promise, title)[settling](this.name, this.#stageNumber, 'a cancel'),
          ),
    )
    this.#table.note(step, note)
  }

  /** What tells, after a cancel, whether a step that nothing undoes had committed. */
  #settling(step: RunbookStep): 'migrateStage' | 'repairHistory' | 'initDatabase' | undefined {
    if (step === 'repair') return 'repairHistory'
    if (step === 'init-db') return 'initDatabase'
    return step === 'migrate' && this.#stage?.phase === 'contract' ? 'migrateStage' : undefined
  }

  /** Keeps one line of the table of steps. */
  #line<T>(step: StepName, text: string, work: () => Promise<T>): Promise<T> {
    return this.#table.line({ step, stage: this.#stageNumber, text }, work)
  }

  async #continueAsNew(): Promise<never> {
    await condition(allHandlersFinished)
    // Accepted until then, a cancel would be lost: nothing of it is carried.
    this.#steering.throwIfCancelled()
    const summary = this.#summary
    if (!summary) throw ApplicationFailure.nonRetryable('a run cannot wait before it has a plan', 'Unexpected')
    const carried: Carried = {
      summary,
      stageIndex: this.#stageIndex,
      earlierStageDone: this.#earlierStageDone,
      lines: this.#table.lines,
      held: this.#steering.isHeld,
      ...this.#decisions.carried,
    }
    return continueAsNew({ ...this.#input, carried })
  }

  async #awaitDecision(stage: StageSummary): Promise<void> {
    this.#steering.awaiting = 'approval'
    this.#show()
    try {
      const left = Math.max(1, (this.#deadline ?? 0) - Date.now())
      const isOver = (): boolean => {
        const question = this.#question()
        return this.#steering.cancelled !== undefined || (question !== undefined && this.#decisions.isDecided(question))
      }
      const decided = await condition(isOver, left, { summary: `approval of ${stage.phase}, stage ${stage.number}` })
      this.#steering.throwIfCancelled()
      if (!decided) throw failure('ApprovalExpired', 'nobody approved in time')
      const by = this.#decisions.rejectedBy(stage.number)
      if (by !== undefined) throw failure('ApprovalRejected', `rejected by ${by}`)
    } finally {
      this.#steering.awaiting = undefined
      this.#show()
    }
  }

  /** What may be decided now: only while the run waits for it. */
  #question(): Question | undefined {
    if (this.#steering.awaiting !== 'approval' || !this.#summary) return undefined
    const { run, digest, approvalsNeeded } = this.#summary
    return { run, digest, approvalsNeeded, stage: this.#stageNumber }
  }

  /** Plans again after the wait. Where anything changed the approval is void: the new plan is shown, and asked for. */
  async #confirmed(): Promise<boolean> {
    const title = 'compare with the approved plan'
    if (this.#kind === 'recover') {
      const { same, summary } = await this.#fixPlan(title)
      if (!same) this.#decisions.forget(this.#stageNumber)
      this.#replan(summary)
      return same
    }
    const again = await this.#activities('quick', title).confirmPlan(
      this.name,
      this.#summary?.digest ?? '',
      this.#stageNumber,
    )
    if (again.same) return true
    this.#decisions.forget(this.#stageNumber)
    // The new plan has only what is left: the stage that waits is another one's place in it.
    const { stages } = again.summary
    const place = stages.findIndex(({ number }) => number === this.#stageNumber)
    if (place < 0) throw failure('PlanStale', 'the release has other stages now than the approved plan')
    this.#stageIndex = place
    this.#summary = again.summary
    return false
  }

  #approveCommand(): string {
    return `headgate approve ${this.name} --digest ${this.#summary?.digest.slice(0, 12)}`
  }

  #waitingFor(): string | undefined {
    const { awaiting } = this.#steering
    if (awaiting === 'approval') return this.#approveCommand()
    if (awaiting === 'hold') return `headgate continue ${this.name}`
    if (awaiting === 'retry') return `headgate retry ${this.name}`
    return undefined
  }

  #state(): RunState {
    const waiting = this.#waitingFor()
    const { awaiting } = this.#steering
    const { lines } = this.#table
    const { project, environment, tag } = this.#input
    return {
      run: this.name,
      project,
      environment,
      ...(tag === undefined ? {} : { tag }),
      database: this.#summary?.database ?? '',
      digest: this.choice === 'fix' && !this.#isFixPlanned ? '' : (this.#summary?.digest ?? ''),
      state: this.#ending ? 'ended' : awaiting === 'approval' ? 'waiting' : awaiting ? 'held' : 'running',
      step: lines.at(-1)?.step ?? 'plan',
      stage: this.#stageNumber,
      ...(waiting === undefined ? {} : { waiting }),
      ...(awaiting === 'approval' && this.#deadline !== undefined ? { deadline: this.#deadline } : {}),
      ...(this.#steering.holdToCome === undefined ? {} : { hold: this.#steering.holdToCome }),
      lines,
      ...(this.#ending ? { ending: this.#ending } : {}),
    }
  }

  #show(): void {
    this.#display.show(this.#state(), this.#summary?.searchAttributes ?? false)
  }
}

const STAGELESS: ReadonlySet<RunKind> = new Set(['backup', 'repair', 'init-db'])
const UNEXPECTED: KnownFailure = { code: 'Unexpected', message: '', detail: {} }
/** What it failed of may know better what to do than that a person must look. */
const needsOperatorAfter = ({ detail: { hint } }: KnownFailure): KnownFailure => ({
  ...{ code: 'NeedsOperator', message: '' },
  detail: hint === undefined ? {} : { hint },
})

const tooLate = (title: string): string => `${title} cannot be cancelled any more`

/** The outermost known message: an undo's failure tells more than what started it. */
function outermost(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if ('type' in at && at.type === 'NeedsOperator') return at.message
  return messageOf(error)
}
