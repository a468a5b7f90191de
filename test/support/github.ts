import { type HttpServer, json, startHttpServer } from './http-server.js'

export const TOKEN = 'github_pat_0123456789abcdef'
export const AT = '/repos/acme/shop/actions/workflows/deploy.yml'

export interface GitHub {
  server: HttpServer
  state: string
  running: number
  refusal: string
}

/** The part of GitHub's API that is used, refusing what the real one refuses: docs.github.com/rest/actions/workflows. */
export async function startGitHub(): Promise<GitHub> {
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
