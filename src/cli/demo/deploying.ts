import type { WorkflowHandle } from '@temporalio/client'
import { follow, type RunEvent } from '../../client/follow.js'
import { startRun } from '../../client/runs.js'
import type { Ending } from '../../domain/run.js'
import type { Terminal } from '../terminal.js'
import { openViewer, type Viewer } from '../viewer.js'
import type { Ground } from './ground.js'

/** As examples/shop/headgate.yaml names them. */
export const PLACE = { project: 'shop', environment: 'staging' }
const REQUESTER = { by: 'demo', verified: false }

/** What a scene is given to play with. */
export interface Play {
  readonly ground: Ground
  readonly terminal: Terminal
  readonly signal: AbortSignal
}

/** One run under way. */
export interface Deployment {
  /** Of its first execution. */
  readonly handle: WorkflowHandle
  /** Says lines in between what the viewer shows. */
  aside: (...lines: string[]) => void
}

export type TakePart = (event: RunEvent, deployment: Deployment) => Promise<void>

/**
 * Deploys a release of the shop and shows it as `headgate deploy` does. `takePart` hears of each event once it was shown, and
 * the next one waits for it. Throws the signal's reason when that aborts.
 */
export async function deploy(
  { ground, terminal, signal }: Play,
  tag: string,
  takePart: TakePart,
): Promise<{ ending: Ending; handle: WorkflowHandle }> {
  const { engine } = ground.servers
  const started = await startRun(engine, 'deploy', PLACE, { ...PLACE, tag, requester: REQUESTER })
  const handle = engine.client.workflow.getHandle(started.workflowId, started.firstExecutionRunId)
  terminal.say(`in Temporal: ${ground.linkTo(started.workflowId)}`)
  const show = new Show(terminal)
  const deployment = { handle, aside: (...lines: string[]) => show.aside(lines) }
  try {
    for await (const event of follow(engine, handle, started.firstExecutionRunId, signal)) {
      show.event(event)
      await takePart(event, deployment)
      if (event.event === 'end') return { ending: event, handle }
    }
  } finally {
    show.close()
  }
  throw signal.reason
}

/** The ordinary viewer, put aside while something else is said. */
class Show {
  readonly #terminal: Terminal
  #viewer: Viewer
  #run: RunEvent | undefined
  #open: RunEvent | undefined

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    this.#viewer = openViewer(terminal)
  }

  event(event: RunEvent): void {
    if (event.event === 'run') this.#run = event
    if (event.event === 'step') this.#open = event.endedAt === undefined ? event : undefined
    this.#viewer.show(event)
  }

  /** A table that is redrawn in place would be torn by it: it ends, and another one goes on below. */
  aside(lines: readonly string[]): void {
    const { live, say } = this.#terminal
    if (live) this.#viewer.close()
    for (const text of ['', ...lines, ...(live ? [''] : [])]) say(text)
    if (!live) return
    this.#viewer = openViewer(this.#terminal)
    for (const event of [this.#run, this.#open]) if (event) this.#viewer.show(event)
  }

  close(): void {
    this.#viewer.close()
  }
}
