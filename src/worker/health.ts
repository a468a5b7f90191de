import { createServer, type Server } from 'node:http'

export interface Health {
  /** What is not ready, one line each; empty when all is. */
  problems: () => string[]
  /** Numbers for `/metrics`, by name. */
  numbers: () => Record<string, number>
}

/** `/healthz` (the process lives), `/readyz` (it can take runs) and `/metrics`, on loopback unless told otherwise. */
export async function serveHealth(
  address: { host: string; port: number },
  health: Health,
): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const problems = health.problems()
    switch (request.url) {
      case '/healthz':
        return void response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n')
      case '/readyz':
        return void response
          .writeHead(problems.length === 0 ? 200 : 503, { 'content-type': 'application/json' })
          .end(JSON.stringify({ ok: problems.length === 0, problems }))
      case '/metrics':
        return void response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(metricsOf(health))
      default:
        return void response.writeHead(404).end()
    }
  })
  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(address.port, address.host, done)
  })
  return { port: portOf(server), close: () => new Promise((done) => server.close(() => done())) }
}

function metricsOf({ problems, numbers }: Health): string {
  const lines = Object.entries({ headgate_worker_ready: problems().length === 0 ? 1 : 0, ...numbers() })
  return `${lines.map(([name, value]) => `# TYPE ${name} gauge\n${name} ${value}`).join('\n')}\n`
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
