import type { Command } from 'commander'
import { standingOf } from '../client/standing.js'
import { carryingKind, workflowIdOf } from '../client/runs.js'
import { failure } from '../domain/failures.js'
import type { Context } from './context.js'
import { addWaitOption, type FollowOptions, followRun } from './following.js'

export function define(command: Command): void {
  command
    .description(
      'Follows the newest run of an environment, with the exit codes of `deploy`. Ctrl-C leaves the run alone.',
    )
    .argument('<run>', 'a run or an environment')
  addWaitOption(command)
}

export async function run(context: Context, command: Command): Promise<number> {
  const place = await context.placeOf(command.args[0] ?? '')
  const engine = await context.engine()
  const kind = await carryingKind(engine, place)
  const standing = await standingOf(engine, place, kind)
  if (!standing) throw failure('RunUnknown', `Temporal knows no run of ${place.environment}`)
  const newest = standing.state?.run ?? standing.ending?.run ?? ''
  if (place.run !== undefined && newest !== place.run)
    throw failure(
      'RunUnknown',
      `${place.run} is not the newest run of ${place.environment}: headgate report ${place.run} tells of it`,
    )
  const handle = engine.client.workflow.getHandle(workflowIdOf(kind, place))
  return followRun(context, handle, standing.executionId, command.opts<FollowOptions>())
}
