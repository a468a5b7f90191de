import { messageOf } from '../domain/failures.js'
import type { StepLine, StepName } from '../domain/run.js'

const NOTE_LENGTH = 300

/** The table of steps that a person sees: one line for each thing done, with what came of it. */
export class StepTable {
  #lines: StepLine[]
  readonly #onChange: () => void

  constructor(lines: StepLine[], onChange: () => void) {
    this.#lines = lines
    this.#onChange = onChange
  }

  get lines(): StepLine[] {
    return this.#lines
  }

  has(step: StepName, stage: number): boolean {
    return this.#lines.some((line) => line.step === step && line.stage === stage)
  }

  /** Keeps a line while `work` runs. A wait that is entered anew replaces its line of before. */
  async line<T>(at: { step: StepName; stage: number; text: string }, work: () => Promise<T>): Promise<T> {
    const line: StepLine = { ...at, state: at.step === 'await-approval' ? 'waiting' : 'running', startedAt: Date.now() }
    const isWaited = (one: StepLine): boolean =>
      one.step === at.step && one.stage === at.stage && one.state === 'waiting'
    this.#lines = [...this.#lines.filter((one) => !isWaited(one)), line]
    this.#onChange()
    try {
      const result = await work()
      line.state = 'done'
      return result
    } catch (error) {
      line.state = 'failed'
      line.note = messageOf(error).slice(0, NOTE_LENGTH)
      throw error
    } finally {
      line.endedAt = Date.now()
      this.#onChange()
    }
  }

  /** What the newest line of a step is worth saying. */
  note(step: StepName, note: string): void {
    const line = this.#lines.findLast((one) => one.step === step)
    if (line && note) line.note = note.slice(0, NOTE_LENGTH)
  }
}
