import type { RunEvent } from '../client/follow.js'
import { LiveTable } from './live-table.js'
import { jsonEvent } from './output-run.js'
import { RunLog } from './run-log.js'
import type { Terminal } from './terminal.js'

/** Shows one event stream. */
export interface Viewer {
  show: (event: RunEvent) => void
  /** Leaves the terminal as it was. Twice is once. */
  close: () => void
}

export function openViewer(terminal: Terminal): Viewer {
  if (terminal.json) return { show: (event) => terminal.answer(jsonEvent(event)), close: () => {} }
  return terminal.live ? new LiveTable(terminal) : new RunLog(terminal)
}
