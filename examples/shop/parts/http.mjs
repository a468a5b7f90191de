import { createServer } from 'node:http'

const BODY_LIMIT_BYTES = 64 * 1024

/** What the caller did wrong: answered with its status. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** Serves `routes`, keyed `METHOD /path`, on 127.0.0.1. A route answers `{ status?, body, headers? }`; what it throws goes to `failed`. */
export async function serve(port, routes, failed) {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1')
    const context = { request, url, echoed: {} }
    const answer = await respond(routes, context).catch((error) => refused(error) ?? failed(error))
    const body = `${JSON.stringify({ ...answer.body, ...context.echoed.body })}\n`
    const headers = { 'content-type': 'application/json', ...answer.headers, ...context.echoed.headers }
    response.writeHead(answer.status ?? 200, headers).end(body)
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return server
}

async function respond(routes, context) {
  const route = routes[`${context.request.method} ${context.url.pathname}`]
  if (!route) throw new Refusal(404, `there is no ${context.request.method} ${context.url.pathname}`)
  return route(context)
}

const refused = (error) =>
  error instanceof Refusal ? { status: error.status, body: { error: error.message } } : undefined

/** Stops listening and returns once every request under way was answered. A connection kept alive does not hold it up. */
export async function close(server) {
  const sweep = setInterval(() => server.closeIdleConnections(), 20)
  await new Promise((resolve) => server.close(resolve))
  clearInterval(sweep)
}

export async function readJson(request) {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > BODY_LIMIT_BYTES) throw new Refusal(413, 'the body is too large')
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new Refusal(400, 'the body is not JSON')
  }
}
