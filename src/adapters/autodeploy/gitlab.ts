import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { AutodeployConfiguration } from '../../domain/configuration.js'
import type { AutodeployContext, Held } from './port.js'
import { change, type Rest, read } from './rest.js'

const Period = z.object({ id: z.int(), freeze_start: z.string(), freeze_end: z.string(), cron_timezone: z.string() })
const Deployments = z.array(z.unknown())

const PER_PAGE = 100
const MINUTE_MS = 60_000
/** Of a year that has no 29th of February. */
const MINUTES_OF_A_YEAR = 365 * 24 * 60

/**
 * A deploy freeze of a GitLab project: docs.gitlab.com/api/freeze_periods. It sets `CI_DEPLOY_FREEZE` in pipelines; jobs must
 * heed it. A period has no name: ours is known by its begin and end, which are the environment's own.
 */
export function gitlab(
  { url, project, token, deployments }: Extract<AutodeployConfiguration, { kind: 'gitlab' }>,
  context: AutodeployContext,
): Held {
  const at = `${url.replace(/\/$/, '')}/api/v4/projects/${encodeURIComponent(project)}`
  const ours = periodOf(context)
  const rest: Rest = {
    who: `gitlab ${project}`,
    headers: { 'private-token': token },
    secrets: [...context.secrets, token],
    hintOf: ({ status }) => HINTS[status],
    // Somebody has deleted it already.
    accepts: [404],
  }
  const found = async (signal: AbortSignal): Promise<number[]> => {
    const ids: number[] = []
    for (let page = 1; ; page++) {
      const query = `per_page=${PER_PAGE}&page=${page}`
      const periods = await read({ ...rest, accepts: [] }, `${at}/freeze_periods?${query}`, z.array(Period), signal)
      ids.push(...periods.filter((period) => isSame(period, ours)).map(({ id }) => id))
      if (periods.length < PER_PAGE) return ids
    }
  }
  const runningOf = async (environment: string, signal: AbortSignal): Promise<number> => {
    const query = `environment=${encodeURIComponent(environment)}&status=running&per_page=5`
    return (await read({ ...rest, accepts: [] }, `${at}/deployments?${query}`, Deployments, signal)).length
  }
  return {
    calls: project,
    async state(signal) {
      const isHeld = (await found(signal)).length > 0
      const running = deployments === undefined ? 0 : await runningOf(deployments, signal)
      return { state: isHeld ? 'held' : 'on', running }
    },
    async hold(fence) {
      if ((await found(fence.signal)).length > 0) return
      await change({ ...rest, accepts: [] }, 'POST', `${at}/freeze_periods`, fence, { isRelease: false, json: ours })
    },
    async release(fence) {
      for (const id of await found(fence.signal))
        await change(rest, 'DELETE', `${at}/freeze_periods/${id}`, fence, { isRelease: true })
    },
  }
}

type Ours = Omit<z.infer<typeof Period>, 'id'>

/**
 * From one minute of the year to the minute before it: always, but for that minute. Which one it is, project and environment
 * decide: a period of theirs is found again whatever happened in between, and is nobody else's.
 */
export function periodOf({ project, environment }: Pick<AutodeployContext, 'project' | 'environment'>): Ours {
  const digest = createHash('sha256').update(`${project}/${environment}`).digest()
  // The first minute of a year has its end in the year before.
  const minute = 1 + (digest.readUInt32BE(0) % (MINUTES_OF_A_YEAR - 1))
  return { freeze_start: cronOf(minute), freeze_end: cronOf(minute - 1), cron_timezone: 'UTC' }
}

function cronOf(minuteOfYear: number): string {
  const at = new Date(Date.UTC(2026, 0, 1) + minuteOfYear * MINUTE_MS)
  return `${at.getUTCMinutes()} ${at.getUTCHours()} ${at.getUTCDate()} ${at.getUTCMonth() + 1} *`
}

const isSame = (period: Ours, ours: Ours): boolean =>
  period.freeze_start === ours.freeze_start &&
  period.freeze_end === ours.freeze_end &&
  period.cron_timezone === ours.cron_timezone

const HINTS: Record<number, string> = {
  401: 'the token is not valid any more',
  403: 'the token needs the role of a maintainer and the scope api',
  404: 'look at url and project; a token that may not see the project is told that it is not there',
}
