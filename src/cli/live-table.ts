import type { RunEvent } from '../client/follow.js'
import { duration } from '../domain/amounts.js'
import type { StepLine } from '../domain/run.js'
import { awayText, headline, progressText, summary, waitingText } from './output-run.js'
import { line } from './output-words.js'
import type { Terminal } from './terminal.js'

const MARKS: Record<StepLine['state'], string> = { running: ' ', done: '✓', failed: '✗', waiting: '○' }
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 100
const STEP = 17
/** Up by so many lines, to the first column, and clear all that is below. */
const back = (lines: number): string => (lines === 0 ? '' : `\x1b[${lines}F\x1b[0J`)

/** The table of steps, redrawn in place. */
export class LiveTable {
  readonly #terminal: Terminal
  readonly #timer: NodeJS.Timeout
  readonly #lines = new Map<string, StepLine>()
  #headline = 'asking the worker for a plan'
  #progress = ''
  #call = ''
  #drawn = 0
  #frame = 0
  #closed = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    this.#timer = setInterval(() => this.#draw(), FRAME_MS)
  }

  show(event: RunEvent): void {
    this.#take(event)
    this.#draw()
    if (event.event !== 'end') return
    this.close()
    for (const text of summary(event)) this.#terminal.say(text)
  }

  close(): void {
    if (this.#closed) return
    this.#progress = ''
    this.#closed = true
    clearInterval(this.#timer)
    this.#put(this.#all())
  }

  #take(event: RunEvent): void {
    switch (event.event) {
      case 'run':
        this.#headline = headline(event)
        break
      case 'step': {
        const { event: _, ...step } = event
        // A wait that is taken up again by a new execution is the same wait.
        if (step.step === 'await-approval') this.#lines.delete(`${step.step} ${step.stage}`)
        const key =
          step.step === 'await-approval' ? `${step.step} ${step.stage}` : `${step.step} ${step.stage} ${step.startedAt}`
        this.#lines.set(key, step)
        this.#progress = ''
        if (step.state !== 'waiting') this.#call = ''
        break
      }
      case 'progress':
        this.#progress = progressText(event)
        break
      case 'waiting':
        this.#call = waitingText(event)
        break
      case 'held':
        this.#call = `held; to go on: ${event.command}`
        break
      case 'away':
        this.#call = awayText(event)
        break
      case 'back':
      case 'end':
        this.#call = ''
    }
  }

  #draw(): void {
    if (this.#closed) return
    const { columns, rows } = this.#terminal
    // What has scrolled away cannot be redrawn, nor a line that wraps: until the end the newest lines are shown, cut.
    const shown = this.#all().slice(-(rows - 2))
    this.#put(shown.map((text) => [...text].slice(0, columns - 1).join('')))
    this.#frame += 1
  }

  #all(): string[] {
    const steps = [...this.#lines.values()].map((step) => this.#row(step))
    return [this.#headline, ...steps, ...(this.#call === '' ? [] : ['', line(this.#call)])]
  }

  #put(lines: readonly string[]): void {
    this.#terminal.draw(`${back(this.#drawn)}${lines.map((text) => `${text}\n`).join('')}`)
    this.#drawn = lines.length
  }

  #row(step: StepLine): string {
    const isOpen = step.endedAt === undefined
    const mark = step.state === 'running' ? (SPINNER[this.#frame % SPINNER.length] ?? ' ') : MARKS[step.state]
    const took = duration((step.endedAt ?? Date.now()) - step.startedAt)
    const said = isOpen && this.#progress !== '' ? this.#progress : (step.note ?? step.text)
    return `${mark} ${step.stage === 0 ? ' ' : step.stage} ${step.step.padEnd(STEP)} ${took.padStart(12)}  ${line(said)}`
  }
}
