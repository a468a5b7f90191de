import type { Socket } from 'node:net'
import { type DatabaseProxy, startProxy } from './proxy.js'
import type { ChildSettings, Target } from './target.js'
import { MessageReader, send, withoutChannelBinding, withSettings } from './wire.js'

const READY = 'Z'

/**
 * Hands everything on to the database, and gives each session its name and settings on the way: for a driver that reads
 * neither PGAPPNAME nor PGOPTIONS. What the client asks for by itself in the beginning counts less.
 */
export const startNamingProxy = (target: Target, { applicationName, options }: ChildSettings): Promise<DatabaseProxy> =>
  startProxy(target, (client, server, { first, read }) => {
    server.write(
      withSettings(first, applicationName === undefined ? options : { ...options, application_name: applicationName }),
    )
    server.write(read.rest())
    client.pipe(server)
    logIn(server, client)
  })

/** Up to where the server is ready its messages are looked at, then they are bytes. */
function logIn(server: Socket, client: Socket): void {
  const reader = new MessageReader()
  const hear = (bytes: Buffer): void => {
    reader.add(bytes)
    try {
      for (let message = reader.next(); message; message = reader.next()) {
        send(client, withoutChannelBinding(message))
        if (message.type !== READY) continue
        server.off('data', hear)
        client.write(reader.rest())
        server.pipe(client)
        return
      }
    } catch {
      server.destroy()
      client.destroy()
    }
  }
  server.on('data', hear)
  server.once('close', () => client.end())
}
