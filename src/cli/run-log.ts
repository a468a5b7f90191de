import type { RunEvent } from '../client/follow.js'
import type { StepLine } from '../domain/run.js'
import { heartbeatLine, logLine, summary } from './output-run.js'
import type { Terminal } from './terminal.js'

const HEARTBEAT_MS = 30_000
/** A step that is done sooner is one line, not two. */
const BRIEF_MS = 2_000

/** One line per change, and a sign of life each 30 s. */
export class RunLog {
  readonly #terminal: Terminal
  #running: StepLine | undefined
  #progress = ''
  #attempt = 1
  /** Since when nobody answers. */
  #silentSince: number | undefined
  #heartbeat: NodeJS.Timeout | undefined
  /** A step that has begun and was not told yet. */
  #begun: { event: RunEvent; timer: NodeJS.Timeout } | undefined

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    this.#beat()
  }

  show(event: RunEvent): void {
    if (event.event === 'progress') {
      this.#progress = event.text
      if (event.attempt === this.#attempt) return
      this.#attempt = event.attempt
    }
    if (event.event === 'away') this.#silentSince = Date.now()
    if (event.event === 'back') this.#silentSince = undefined
    if (event.event === 'step') {
      this.#attempt = 1
      this.#progress = ''
      this.#forgetBegun()
      this.#running = event.endedAt === undefined ? event : undefined
    }
    if (event.event === 'step' && event.state === 'running') {
      this.#begun = { event, timer: setTimeout(() => this.#tellBegun(), BRIEF_MS) }
      return
    }
    // What is told with the present time comes after what has begun before it. The run itself is told first of all.
    if (event.event !== 'run' && event.event !== 'end') this.#tellBegun()
    this.#tell(event)
    if (event.event === 'end') for (const text of summary(event)) this.#terminal.say(text)
  }

  close(): void {
    clearInterval(this.#heartbeat)
    this.#forgetBegun()
  }

  #tell(event: RunEvent): void {
    const text = logLine(event, Date.now())
    if (text === undefined) return
    this.#terminal.say(text)
    this.#beat()
  }

  #tellBegun(): void {
    const event = this.#begun?.event
    this.#forgetBegun()
    if (event) this.#tell(event)
  }

  #forgetBegun(): void {
    clearTimeout(this.#begun?.timer)
    this.#begun = undefined
  }

  #beat(): void {
    clearInterval(this.#heartbeat)
    const say = (): void =>
      this.#terminal.say(heartbeatLine(this.#running, this.#progress, Date.now(), this.#silentSince))
    this.#heartbeat = setInterval(say, HEARTBEAT_MS)
  }
}
