import type { WorkflowHandle } from '@temporalio/client'
import type { Command } from 'commander'
import { follow } from '../client/follow.js'
import { Duration } from '../domain/configuration-scalars.js'
import { failure } from '../domain/failures.js'
import { EXIT } from '../domain/outcome.js'
import type { Context } from './context.js'
import { whenToldToEnd } from './leaving.js'
import type { Terminal } from './terminal.js'
import { openViewer } from './viewer.js'

export interface FollowOptions {
  /** Follows through approvals; with a duration, that long. */
  wait?: string | true
  detach?: boolean
}

export function addWaitOption(command: Command): void {
  command.option('--wait [duration]', 'follow through approvals, at most that long (30m); exit 8 when it is over')
}

function accepted({ note }: Terminal, run: string): number {
  note(`next  headgate watch ${run}`)
  return EXIT.done
}

/** Of a `--wait`. Throws `UsageInvalid`. */
export function waitOf({ wait }: FollowOptions): number | undefined {
  if (wait === undefined || wait === true) return undefined
  const parsed = Duration.safeParse(wait)
  if (!parsed.success)
    throw failure('UsageInvalid', `--wait ${JSON.stringify(wait)}: write it like 30m, or --wait alone last`)
  return parsed.data
}

/**
 * Shows the run until it ended, or as long as the options say. At an approval it stops with exit 3 where nobody can be
 * asked. Ctrl-C leaves the run alone. `executionId`: the execution it is about, or one that it continued.
 */
export async function followRun(
  context: Context,
  handle: WorkflowHandle,
  executionId: string,
  options: FollowOptions,
): Promise<number> {
  const { terminal } = context
  const waitMs = waitOf(options)
  const leaving = new AbortController()
  const leave = (exit: number) => (): void => leaving.abort(exit)
  const forget = whenToldToEnd(leave(EXIT.viewerLeft))
  const timer = waitMs === undefined ? undefined : setTimeout(leave(EXIT.waitOver), waitMs)
  const viewer = openViewer(terminal)
  let run = ''
  try {
    for await (const event of follow(await context.engine(), handle, executionId, leaving.signal)) {
      viewer.show(event)
      if (event.event === 'run') {
        run = event.run
        if (options.detach) return accepted(terminal, run)
      }
      if (event.event === 'end') return event.exit
      if (event.event === 'waiting' && options.wait === undefined && !terminal.interactive) return EXIT.waiting
    }
  } finally {
    viewer.close()
    clearTimeout(timer)
    forget()
  }
  const exit = leaving.signal.reason === EXIT.waitOver ? EXIT.waitOver : EXIT.viewerLeft
  terminal.note(`\nthe run goes on; to follow it: headgate watch ${run || 'ENVIRONMENT'}`)
  return exit
}
