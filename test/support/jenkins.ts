import { type HttpServer, json, startHttpServer } from './http-server.js'

export const USER = 'headgate'
export const TOKEN = '11aabbccddeeff00112233445566778899'
export const AT = '/job/ops/job/deploy'

export interface Jenkins {
  server: HttpServer
  isDisabled: boolean
  running: number
  refusal: string
}

/** The part of Jenkins' remote API that is used, refusing what the real one refuses: www.jenkins.io/doc/book/using/remote-access-api. */
export async function startJenkins(): Promise<Jenkins> {
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
