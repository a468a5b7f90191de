import type { Socket } from 'node:net'
import { type DatabaseProxy, startProxy } from './proxy.js'
import type { ChildSettings, Target } from './target.js'
import { fatal, type Message, MessageReader, send, texts, withoutChannelBinding, withSettings } from './wire.js'

/** The server reports a setting that it tells its clients of. */
const REPORTED = 'S'
const READY = 'Z'
/** Before it is ready a server says little. */
const LONGEST_GREETING = 100_000

/**
 * Hands everything on to the database, and gives each session its name and settings on the way: for a driver that reads
 * neither PGAPPNAME nor PGOPTIONS. What the client asks for by itself in the beginning counts less; one that gives itself another
 * name afterwards is cut off: it could not be found any more.
 */
export const startNamingProxy = (
  target: Target,
  { applicationName = '', options }: ChildSettings,
): Promise<DatabaseProxy> =>
  startProxy(target, (client, server, { first, read }) => {
    // An empty name is one that is among the settings, or none.
    const named = applicationName === '' ? options : { ...options, application_name: applicationName }
    server.write(withSettings(first, named))
    server.write(read.rest())
    client.pipe(server)
    hear(server, client, (name) => applicationName === '' || name === applicationName)
  })

function hear(server: Socket, client: Socket, isOurs: (name: string) => boolean): void {
  const reader = new MessageReader(LONGEST_GREETING)
  server.on('data', (bytes: Buffer) => {
    reader.add(bytes)
    try {
      for (let message = reader.next(); message; message = reader.next()) {
        if (message.type === READY) reader.longest = undefined
        if (isRenamed(message, isOurs)) return cutOff(server, client)
        if (!send(client, withoutChannelBinding(message))) server.pause()
      }
    } catch {
      server.destroy()
      client.destroy()
    }
  })
  client.on('drain', () => server.resume())
  server.once('close', () => client.end())
}

function isRenamed({ type, body }: Message, isOurs: (name: string) => boolean): boolean {
  if (type !== REPORTED) return false
  const [setting, value = ''] = texts(body, 2)
  return setting === 'application_name' && !isOurs(value)
}

function cutOff(server: Socket, client: Socket): void {
  server.destroy()
  const why = 'the session gave itself another application_name: headgate finds it by the one that it was given'
  send(client, fatal('57P01', why))
  client.destroySoon()
}
