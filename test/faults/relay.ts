import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Stands between a worker and a server on loopback. */
export interface Relay {
  port: number
  /** What comes is passed on no more, in either direction, and nobody is told: until `pass`. */
  stall(): void
  /** Every connection is cut, and new ones are refused until `pass`. */
  cut(): void
  /** What the server says is passed on no more, what it is told is: until `pass`, when those connections are cut. */
  halfOpen(): void
  pass(): void
  end(): Promise<void>
}

type Mode = 'passing' | 'stalled' | 'cut' | 'half-open'

export async function startRelay(to: number): Promise<Relay> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let mode: Mode = 'passing'
  const destroyAll = (): void => {
    for (const sockets of pairs) for (const socket of sockets) socket.destroy()
  }
  const apply = ([client, upstream]: readonly [Socket, Socket]): void => {
    if (mode === 'stalled') client.pause()
    else client.resume()
    if (mode === 'stalled' || mode === 'half-open') upstream.pause()
    else upstream.resume()
  }
  const server = createServer((client) => {
    if (mode === 'cut') return void client.destroy()
    const upstream = connect(to, '127.0.0.1')
    const pair = [client, upstream] as const
    pairs.add(pair)
    for (const [from, into] of [pair, [upstream, client] as const]) {
      from.on('data', (data) => {
        into.write(data)
      })
      from.on('error', () => {})
      from.on('close', () => {
        pairs.delete(pair)
        into.destroy()
      })
    }
    apply(pair)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const become = (next: Mode): void => {
    const wasHalfOpen = mode === 'half-open'
    mode = next
    if (next === 'cut' || wasHalfOpen) destroyAll()
    else for (const pair of pairs) apply(pair)
  }
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    stall: () => become('stalled'),
    cut: () => become('cut'),
    halfOpen: () => become('half-open'),
    pass: () => become('passing'),
    end: async () => {
      destroyAll()
      server.close()
    },
  }
}
