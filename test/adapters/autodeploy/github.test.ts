import { describe, expect, it } from 'vitest'
import { createAutodeploy } from '../../../src/adapters/autodeploy/index.js'
import type { Autodeploy } from '../../../src/adapters/autodeploy/port.js'
import { OpenFence } from '../../support/open-fence.js'
import { startHttpServer } from '../../support/http-server.js'
import { AT, type GitHub, TOKEN, startGitHub } from '../../support/github.js'
import { autodeployContract, SECRET } from './contract.js'

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
