import { describe, expect, it } from 'vitest'
import { periodOf } from '../../../src/adapters/autodeploy/gitlab.js'
import { createAutodeploy } from '../../../src/adapters/autodeploy/index.js'
import { type HttpServer, json, startHttpServer } from '../../support/http-server.js'
import { OpenFence } from '../../support/open-fence.js'
import { autodeployContract, SECRET } from './contract.js'

const TOKEN = 'glpat-0123456789abcdef'
const AT = '/api/v4/projects/acme%2Fshop'
const CRON = /^([0-9]|[1-5][0-9]) ([0-9]|1[0-9]|2[0-3]) ([1-9]|[12][0-9]|3[01]) ([1-9]|1[0-2]) \*$/

interface Period {
  id: number
  freeze_start: string
  freeze_end: string
  cron_timezone: string
}
interface GitLab {
  server: HttpServer
  periods: Period[]
  running: number
  refusal: string
}

/** The part of GitLab's API that is used, refusing what the real one refuses: docs.gitlab.com/api/freeze_periods. */
async function startGitLab(): Promise<GitLab> {
  const gitlab: Omit<GitLab, 'server'> = { periods: [], running: 0, refusal: '' }
  let ids = 0
  const server = await startHttpServer(({ method, path, headers, body }, response) => {
    const no = (status: number, message: string): void => json(response, status, { message })
    if (headers['private-token'] !== TOKEN) return no(401, '401 Unauthorized')
    if (gitlab.refusal !== '') return no(403, gitlab.refusal)
    const { pathname, searchParams } = new URL(path, 'http://gitlab')
    if (!pathname.startsWith(AT)) return no(404, '404 Project Not Found')
    const [what, id] = pathname.slice(AT.length + 1).split('/')
    const page = Number(searchParams.get('page') ?? 1)
    const size = Math.min(100, Number(searchParams.get('per_page') ?? 20))
    if (what === 'deployments') {
      if (searchParams.get('environment') !== 'live' || searchParams.get('status') !== 'running') return no(400, 'bad')
      return json(
        response,
        200,
        Array.from({ length: gitlab.running }).map((_, index) => ({ id: index })),
      )
    }
    if (what !== 'freeze_periods') return no(404, '404 Not Found')
    if (method === 'GET') return json(response, 200, gitlab.periods.slice((page - 1) * size, page * size))
    if (method === 'DELETE') {
      if (!gitlab.periods.some((period) => period.id === Number(id))) return no(404, '404 Freeze Period Not Found')
      gitlab.periods = gitlab.periods.filter((period) => period.id !== Number(id))
      response.writeHead(204)
      return void response.end()
    }
    const period = JSON.parse(body)
    if (!CRON.test(period.freeze_start) || !CRON.test(period.freeze_end)) return no(400, 'is invalid syntax')
    const created = { id: ++ids, ...period }
    gitlab.periods.push(created)
    json(response, 201, created)
  })
  return Object.assign(gitlab, { server })
}

const held = (
  { server }: GitLab,
  options: { running: 'wait' | 'ignore'; within: number },
  environment = 'production',
) =>
  createAutodeploy(
    {
      ...{ kind: 'gitlab', url: server.url, project: 'acme/shop', token: TOKEN, deployments: 'live' },
      ...options,
    },
    { project: 'shop', environment, directory: '/', secrets: [SECRET] },
  )

autodeployContract('gitlab', async (options) => {
  const gitlab = await startGitLab()
  return {
    autodeploy: held(gitlab, options),
    isHeld: () => gitlab.periods.length > 0,
    underWay: (running) => {
      gitlab.running = running
    },
    refuse: (text) => {
      gitlab.refusal = text
    },
    close: gitlab.server.close,
  }
})

describe('a deploy freeze of GitLab', () => {
  const options = { running: 'wait', within: 1_000 } as const
  const OTHER = { id: 77, freeze_start: '0 23 * * 5', freeze_end: '0 7 * * 1', cron_timezone: 'UTC' }

  it('leaves freezes of others alone, however many there are', async () => {
    const gitlab = await startGitLab()
    gitlab.periods = Array.from({ length: 230 }, (_, index) => ({ ...OTHER, id: 100 + index }))
    const [production, staging] = [held(gitlab, options), held(gitlab, options, 'staging')]
    await production.hold(new OpenFence())
    await staging.hold(new OpenFence())
    expect(gitlab.periods).toHaveLength(232)
    await production.release(new OpenFence())
    expect((await staging.state(new AbortController().signal)).state).toBe('held')
    await staging.release(new OpenFence())
    expect(gitlab.periods).toHaveLength(230)
    await gitlab.server.close()
  })

  it('is the whole year but for one minute, another one for each environment', () => {
    const minutes = ['production', 'staging', 'eu', 'us'].map((environment) => {
      const { freeze_start, freeze_end } = periodOf({ project: 'shop', environment })
      return [freeze_start, freeze_end].map((cron) => {
        const [, minute, hour, day, month] = CRON.exec(cron) ?? []
        return Date.UTC(2026, Number(month) - 1, Number(day), Number(hour), Number(minute))
      })
    })
    // Frozen between a start that has been and an end that comes before the next start.
    for (const [start = 0, end = 0] of minutes) expect(start - end).toBe(60_000)
    expect(new Set(minutes.map(([start]) => start)).size).toBe(4)
  })
})
