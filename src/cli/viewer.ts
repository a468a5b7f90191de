import type { RunEvent } from '../client/follow.js'
import type { StepLine } from '../domain/run.js'
import { LiveTable } from './live-table.js'
import { heartbeatLine, jsonEvent, logLine, summary } from './output-run.js'
import type { Terminal } from './terminal.js'

/** Shows one event stream. */
export interface Viewer {
  show: (event: RunEvent) => void
  /** Leaves the terminal as it was. Twice is once. */
  close: () => void
}

const HEARTBEAT_MS = 30_000

export function openViewer(terminal: Terminal): Viewer {
  if (terminal.json) return { show: (event) => terminal.answer(jsonEvent(event)), close: () => {} }
  return terminal.live ? new LiveTable(terminal) : openLog(terminal)
}

/** A step that is done sooner is one line, not two. */
const BRIEF_MS = 2_000

/** One line per change, and a sign of life each 30 s. */
function openLog({ say }: Terminal): Viewer {
  let running: StepLine | undefined
  let progress = ''
  let attempt = 1
  let heartbeat: NodeJS.Timeout | undefined
  let begun: NodeJS.Timeout | undefined
  const beat = (): void => {
    clearInterval(heartbeat)
    heartbeat = setInterval(() => say(heartbeatLine(running, progress, Date.now())), HEARTBEAT_MS)
  }
  const tell = (event: RunEvent): void => {
    const text = logLine(event, Date.now())
    if (text === undefined) return
    say(text)
    beat()
  }
  beat()
  return {
    show: (event) => {
      if (event.event === 'progress') {
        progress = event.text
        if (event.attempt === attempt) return
        attempt = event.attempt
      }
      if (event.event === 'step') {
        attempt = 1
        clearTimeout(begun)
        running = event.endedAt === undefined ? event : undefined
        progress = ''
      }
      if (event.event === 'step' && event.state === 'running') begun = setTimeout(tell, BRIEF_MS, event)
      else tell(event)
      if (event.event === 'end') for (const text of summary(event)) say(text)
    },
    close: () => {
      clearInterval(heartbeat)
      clearTimeout(begun)
    },
  }
}
