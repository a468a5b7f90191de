import { setHandler } from '@temporalio/workflow'
import { ApprovalVerdict, DecisionMessage, whyStale } from '../domain/approval.js'
import { failure } from '../domain/failures.js'
import type { Decision } from '../domain/run.js'
import * as messages from './messages.js'

/** Refused approvals that are written into the history of one wait; more are turned away by the validator. */
const MAX_REFUSALS = 20

/** What is to be decided now. */
export interface Question {
  run: string
  digest: string
  stage: number
  approvalsNeeded: number
}

type Verb = 'approve' | 'reject'

/** Approvals and rejections: shape and position are judged here, signature and policy by an activity. */
export class Decisions {
  #made: Decision[]
  #refusals: number
  readonly #question: () => Question | undefined
  readonly #check: (stage: number, decision: Verb, message: DecisionMessage) => Promise<ApprovalVerdict>

  constructor(
    carried: { decisions: Decision[]; refusals: number },
    ask: {
      question: () => Question | undefined
      check: (stage: number, decision: Verb, message: DecisionMessage) => Promise<ApprovalVerdict>
    },
  ) {
    this.#made = carried.decisions
    this.#refusals = carried.refusals
    this.#question = ask.question
    this.#check = ask.check
  }

  get carried(): { decisions: Decision[]; refusals: number } {
    return { decisions: this.#made, refusals: this.#refusals }
  }

  /** Who rejected the stage, if anybody did. */
  rejectedBy(stage: number): string | undefined {
    return this.#of(stage).find(({ decision }) => decision === 'reject')?.by
  }

  isDecided({ stage, approvalsNeeded }: Question): boolean {
    const approvers = new Set(this.#of(stage).map(({ by }) => by))
    return this.rejectedBy(stage) !== undefined || approvers.size >= approvalsNeeded
  }

  /** What was approved is not what would be done now. */
  forget(stage: number): void {
    this.#made = this.#made.filter((one) => one.stage !== stage)
  }

  /** Only what was said of the plan as it is: a check that was under way when the plan changed answers for the old one. */
  #of(stage: number): Decision[] {
    const digest = this.#question()?.digest
    return this.#made.filter((one) => one.stage === stage && (digest === undefined || one.digest === digest))
  }

  listen(): void {
    const validator = (message: unknown): void => void this.#validate(message)
    setHandler(messages.approveUpdate, (message) => this.#decide('approve', message), {
      validator,
      description: 'Approve the stage that waits: { "by": "you", "digest": "..." }',
    })
    setHandler(messages.rejectUpdate, (message) => this.#decide('reject', message), {
      validator,
      description: 'Reject the stage that waits: { "by": "you", "digest": "..." }',
    })
    setHandler(messages.approveSignal, (message) => this.#decideBySignal('approve', message), {
      description: 'As the update, without an answer',
    })
    setHandler(messages.rejectSignal, (message) => this.#decideBySignal('reject', message), {
      description: 'As the update, without an answer',
    })
  }

  /** Synchronous: a rejection by it leaves no event. */
  #validate(message: unknown): Question {
    const refuse = (why: string): never => {
      throw failure('ApprovalRefused', why)
    }
    const question = this.#question()
    if (!question) return refuse('the run does not wait for an approval now')
    const { data } = DecisionMessage.safeParse(message)
    if (!data) return refuse(`send { "by": "your name", "digest": "the plan's digest" }`)
    const { run, stage } = data
    if (run !== undefined && run !== question.run) refuse(`this is run ${question.run}, not ${run}`)
    if (stage !== undefined && stage !== question.stage) refuse(`stage ${question.stage} waits, not ${stage}`)
    const stale = whyStale(data, question.digest)
    if (stale !== undefined) refuse(stale)
    if (this.isDecided(question)) refuse('this stage is decided already')
    if (this.#refusals >= MAX_REFUSALS) refuse('too many refused approvals: cancel the run and deploy again')
    return question
  }

  /** The answer says why an approval was refused. */
  async #decide(decision: Verb, message: unknown): Promise<string> {
    const { stage, digest } = this.#validate(message)
    const verdict = ApprovalVerdict.parse(await this.#check(stage, decision, DecisionMessage.parse(message)))
    if (!verdict.accepted) {
      this.#refusals += 1
      const { note, hint } = verdict
      throw failure('ApprovalRefused', note, undefined, hint === undefined ? {} : { hint })
    }
    this.#made = [...this.#made, { stage, decision, by: verdict.by, verified: verdict.verified, digest }]
    return `stage ${stage} ${decision === 'approve' ? 'approved' : 'rejected'} by ${verdict.by}: ${verdict.note}`
  }

  async #decideBySignal(decision: Verb, message: unknown): Promise<void> {
    try {
      await this.#decide(decision, message)
    } catch {
      // A signal has no answer; a refused one is in the journal where it reached the check, else it never was valid.
    }
  }
}
