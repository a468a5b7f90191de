import { describe, expect, it } from 'vitest'
import { createAutodeploy } from '../../../src/adapters/autodeploy/index.js'
import { type HttpServer, json, startHttpServer } from '../../support/http-server.js'
import { autodeployContract, SECRET } from './contract.js'

const USER = 'headgate'
const TOKEN = '11aabbccddeeff00112233445566778899'
const AT = '/job/ops/job/deploy'

interface Jenkins {
  server: HttpServer
  isDisabled: boolean
  running: number
  refusal: string
}

/** The part of Jenkins' remote API that is used, refusing what the real one refuses: www.jenkins.io/doc/book/using/remote-access-api. */
async function startJenkins(): Promise<Jenkins> {
  const jenkins: Omit<Jenkins, 'server'> = { isDisabled: false, running: 0, refusal: '' }
  const allowed = `Basic ${Buffer.from(`${USER}:${TOKEN}`).toString('base64')}`
  const server = await startHttpServer(({ method, path, headers }, response) => {
    const page = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'text/html', ...(status === 302 ? { location: `${AT}/` } : {}) })
      response.end(text)
    }
    if (headers.authorization !== allowed) return page(401, '<title>Error 401 Invalid password/token</title>')
    if (jenkins.refusal !== '') return page(403, jenkins.refusal)
    const { pathname } = new URL(path, 'http://jenkins')
    if (pathname === `${AT}/api/json`) {
      const builds = Array.from({ length: 3 }, (_, index) => ({ _class: 'Run', building: index < jenkins.running }))
      const { isDisabled } = jenkins
      return json(response, 200, { disabled: isDisabled, buildable: !isDisabled, inQueue: false, builds })
    }
    if (pathname !== `${AT}/disable` && pathname !== `${AT}/enable`) return page(404, 'Not found')
    // A change that does not come by POST is asked about, and does nothing.
    if (method !== 'POST') return page(405, '<form method="post">Proceed</form>')
    jenkins.isDisabled = pathname === `${AT}/disable`
    page(302, '')
  })
  return Object.assign(jenkins, { server })
}

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
