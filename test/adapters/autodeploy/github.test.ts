import { describe, expect, it } from 'vitest'
import { createAutodeploy } from '../../../src/adapters/autodeploy/index.js'
import type { Autodeploy } from '../../../src/adapters/autodeploy/port.js'
import { type HttpServer, json, startHttpServer } from '../../support/http-server.js'
import { OpenFence } from '../../support/open-fence.js'
import { autodeployContract, SECRET } from './contract.js'

const TOKEN = 'github_pat_0123456789abcdef'
const AT = '/repos/acme/shop/actions/workflows/deploy.yml'

interface GitHub {
  server: HttpServer
  state: string
  running: number
  refusal: string
}

/** The part of GitHub's API that is used, refusing what the real one refuses: docs.github.com/rest/actions/workflows. */
async function startGitHub(): Promise<GitHub> {
  const github: Omit<GitHub, 'server'> = { state: 'active', running: 0, refusal: '' }
  const server = await startHttpServer(({ method, path, headers }, response) => {
    const no = (status: number, message: string): void => json(response, status, { message, status: String(status) })
    if (!headers['user-agent']) return no(403, 'Request forbidden by administrative rules.')
    if (headers.authorization !== `Bearer ${TOKEN}`) return no(401, 'Bad credentials')
    if (headers['x-github-api-version'] !== '2022-11-28') return no(400, 'Unsupported API version')
    if (github.refusal !== '') return no(403, github.refusal)
    const { pathname, searchParams } = new URL(path, 'http://github')
    if (!pathname.startsWith(AT)) return no(404, 'Not Found')
    const rest = pathname.slice(AT.length)
    if (method === 'GET' && rest === '') return json(response, 200, { id: 1, path: 'deploy.yml', state: github.state })
    if (method === 'GET' && rest === '/runs') {
      const isAsked = searchParams.get('status') === 'in_progress'
      return json(response, 200, { total_count: isAsked ? github.running : 0, workflow_runs: [] })
    }
    if (method === 'PUT' && (rest === '/disable' || rest === '/enable')) {
      github.state = rest === '/disable' ? 'disabled_manually' : 'active'
      response.writeHead(204)
      return void response.end()
    }
    no(404, 'Not Found')
  })
  return Object.assign(github, { server })
}

const held = (
  { server }: GitHub,
  options: { running: 'wait' | 'ignore'; within: number },
  more: { token?: string; workflow?: string } = {},
): Autodeploy =>
  createAutodeploy(
    {
      ...{ kind: 'github', url: server.url, repository: 'acme/shop', workflow: 'deploy.yml', token: TOKEN },
      ...{ ...options, ...more },
    },
    { project: 'shop', environment: 'production', directory: '/', secrets: [SECRET] },
  )

autodeployContract('github', async (options) => {
  const github = await startGitHub()
  return {
    autodeploy: held(github, options),
    isHeld: () => github.state !== 'active',
    underWay: (running) => {
      github.running = running
    },
    refuse: (text) => {
      github.refusal = text
    },
    close: github.server.close,
  }
})

describe('a workflow of GitHub', () => {
  const options = { running: 'wait', within: 1_000 } as const

  it.each([
    [{ token: 'another-token-entirely' }, 'Bad credentials'],
    [{ workflow: 'missing.yml' }, 'Not Found'],
  ])('that cannot be asked says why, with what to do, and not with which token: %o', async (more, reason) => {
    const github = await startGitHub()
    const error = await held(github, options, more)
      .state(new AbortController().signal)
      .catch((thrown: unknown) => thrown)
    await github.server.close()
    expect(String(error)).toContain(reason)
    expect(String(error)).not.toContain('another-token-entirely')
    expect(error).toMatchObject({ details: [{ hint: expect.stringContaining('token') }] })
  })

  it('that somebody else, or GitHub itself, had disabled counts as held', async () => {
    const github = await startGitHub()
    github.state = 'disabled_inactivity'
    const { state } = await held(github, options).state(new AbortController().signal)
    await github.server.close()
    expect(state).toBe('held')
  })

  it('is asked again where it is broken for a moment, and held once', async () => {
    let broken = 2
    const asked: string[] = []
    const server = await startHttpServer(({ path }, response) => {
      asked.push(path)
      response.writeHead(broken-- > 0 ? 502 : 204)
      response.end()
    })
    await held({ server, state: 'active', running: 0, refusal: '' }, options).hold(new OpenFence())
    await server.close()
    expect(asked).toEqual([`${AT}/disable`, `${AT}/disable`, `${AT}/disable`])
  })
})
