import { describe, expect, it } from 'vitest'
import { createAutodeploy } from '../../../src/adapters/autodeploy/index.js'
import { AT, TOKEN, USER, startJenkins } from '../../support/jenkins.js'
import { autodeployContract, SECRET } from './contract.js'

const held = (url: string, options: { running: 'wait' | 'ignore'; within: number }, token = TOKEN) =>
  createAutodeploy(
    { kind: 'jenkins', url, user: USER, token, ...options },
    { project: 'shop', environment: 'production', directory: '/', secrets: [SECRET] },
  )

autodeployContract('jenkins', async (options) => {
  const jenkins = await startJenkins()
  return {
    autodeploy: held(`${jenkins.server.url}${AT}/`, options),
    isHeld: () => jenkins.isDisabled,
    underWay: (running) => {
      jenkins.running = running
    },
    refuse: (text) => {
      jenkins.refusal = text
    },
    close: jenkins.server.close,
  }
})

describe('a job of Jenkins', () => {
  it.each([
    [AT, 'a-wrong-api-token', 'HTTP 401'],
    ['/job/missing', TOKEN, 'HTTP 404'],
  ])('that cannot be asked says so, without its token: %s', async (path, token, status) => {
    const jenkins = await startJenkins()
    const error = await held(`${jenkins.server.url}${path}`, { running: 'wait', within: 1_000 }, token)
      .state(new AbortController().signal)
      .catch((thrown: unknown) => thrown)
    await jenkins.server.close()
    expect(String(error)).toContain(status)
    expect(String(error)).not.toContain(token)
  })
})
