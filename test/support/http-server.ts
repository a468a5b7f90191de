import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

export interface Received {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: string
}

export interface HttpServer {
  /** Without a slash at its end. */
  url: string
  port: number
  /** Requests in the order they came. */
  received: Received[]
  close(): Promise<void>
}

export type Respond = (request: Received, response: ServerResponse) => void

/** A real server on loopback. `port`: an earlier one's, to come back on it. */
export async function startHttpServer(respond: Respond, port = 0): Promise<HttpServer> {
  const received: Received[] = []
  const server = createServer(async (incoming, response) => {
    let body = ''
    for await (const chunk of incoming) body += String(chunk)
    const request = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers, body }
    received.push(request)
    respond(request, response)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const bound = portOf(server)
  return { url: `http://127.0.0.1:${bound}`, port: bound, received, close: () => close(server) }
}

/** Answers with JSON. */
export function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

/** A port of loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = await startHttpServer(() => {})
  await server.close()
  return server.port
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
