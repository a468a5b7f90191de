import { startRun } from '../client/runs.js'
import { failure } from '../domain/failures.js'
import { Tag } from '../domain/names.js'
import { type RunKind, Version } from '../domain/plan.js'
import type { RunInput } from '../domain/run.js'
import { type ConfirmOptions, confirmDatabase, requesterOf } from './asking.js'
import type { Context } from './context.js'
import { type FollowOptions, followRun, waitOf } from './following.js'

export interface RunOptions extends FollowOptions, ConfirmOptions {
  tag?: string
  digest?: string
  by?: string
}

export type RunDetails = Pick<RunInput, 'backup' | 'mark' | 'downTo' | 'drop' | 'recover'>

/** Starts a run of any kind and follows it. Everything that can be wrong in what was typed is said before anybody is asked. */
export async function startAndFollow(
  context: Context,
  kind: RunKind,
  environment: string,
  options: RunOptions,
  details: RunDetails = {},
): Promise<number> {
  const tag = tagOf(options.tag)
  const digest = digestOf(options.digest)
  waitOf(options)
  const place = await context.place(environment)
  const engine = await context.engine()
  // A dump of the live database changes nothing in it.
  if (kind !== 'backup') await confirmDatabase(context, place, options, details.drop === true)
  const { project } = place
  const handle = await startRun(engine, kind, place, {
    project,
    environment,
    requester: await requesterOf(context, options.by),
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
    ...details,
  })
  return followRun(context, handle, handle.firstExecutionRunId, options)
}

export function tagOf(tag: string | undefined): string | undefined {
  if (tag === undefined || Tag.safeParse(tag).success) return tag
  throw failure(
    'UsageInvalid',
    `--tag ${JSON.stringify(tag.slice(0, 60))}: a tag is 1 to 128 of letters, digits, . _ -`,
  )
}

export function digestOf(digest: string | undefined): string | undefined {
  if (digest === undefined || /^[0-9a-f]{12,64}$/.test(digest)) return digest
  throw failure('UsageInvalid', "--digest: the plan's digest is 12 to 64 hex digits")
}

export function downToOf(version: string | undefined): string | undefined {
  if (version === undefined || Version.safeParse(version).success) return version
  throw failure('UsageInvalid', '--down-to: a version is one line of text, at most 200 characters')
}
