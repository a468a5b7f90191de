import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { describe, expect, it } from 'vitest'
import { createNotifier } from '../../../src/adapters/notifier/index.js'
import { installedWithout } from '../../support/installed-without.js'
import { NOTICE, notifierContract } from './contract.js'

interface MailServer {
  port: number
  /** What was accepted, headers and body apart. */
  letters: { headers: Record<string, string>; body: string; to: string[] }[]
  refuse(text: string): void
  close(): Promise<void>
}

/** A real SMTP server on loopback. */
async function startMailServer(credentials?: { user: string; pass: string }, tls = false): Promise<MailServer> {
  const letters: MailServer['letters'] = []
  let refusal: string | undefined
  const server = new SMTPServer({
    authOptional: credentials === undefined,
    allowInsecureAuth: true,
    ...(tls ? {} : { disabledCommands: ['STARTTLS'] }),
    disableReverseLookup: true,
    onAuth({ username, password }, _session, done) {
      if (username === credentials?.user && password === credentials?.pass) return done(null, { user: username })
      return done(new Error(`Invalid login: ${password}`))
    },
    onMailFrom: (_address, _session, done) => done(refusal === undefined ? null : new Error(refusal)),
    async onData(stream, session, done) {
      let text = ''
      for await (const chunk of stream) text += String(chunk)
      letters.push({ ...parsed(text), to: session.envelope.rcptTo.map(({ address }) => address) })
      done()
    },
  })
  server.on('error', () => {})
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return {
    port: (listening.address() as AddressInfo).port,
    letters,
    refuse: (text) => {
      refusal = text
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function parsed(letter: string): { headers: Record<string, string>; body: string } {
  const [head = '', ...rest] = letter.split('\r\n\r\n')
  const lines = head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n')
  const headers = Object.fromEntries(lines.map((line) => /^([^:]+): (.*)$/.exec(line)?.slice(1) ?? []))
  const text = rest.join('\r\n\r\n')
  const encoding = headers['Content-Transfer-Encoding']
  const body =
    encoding === 'base64' ? Buffer.from(text, 'base64') : encoding === 'quoted-printable' ? unquoted(text) : text
  return { headers, body: String(body).replaceAll('\r\n', '\n').trimEnd() }
}

const unquoted = (text: string): Buffer =>
  Buffer.from(
    text
      .replaceAll('=\r\n', '')
      .replaceAll(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )

const to = ['ops@example.com', 'dba@example.com']
const notifierTo = (port: number, more: object = {}, secrets: readonly string[] = []) =>
  createNotifier(
    { kind: 'email', host: '127.0.0.1', port, tls: 'none', from: 'Headgate <headgate@example.com>', to, ...more },
    { directory: '/', secrets },
  )
const signal = new AbortController().signal

notifierContract('email', async (secrets) => {
  const server = await startMailServer()
  return {
    notifier: notifierTo(server.port, {}, secrets),
    arrived: () =>
      server.letters.map(({ body }) => {
        const [text, next] = body.split('\n\nnext: ')
        return { ...NOTICE, text, ...(next === undefined ? {} : { next }) }
      }),
    refuse: server.refuse,
    leave: server.close,
    close: server.close,
  }
})

describe('a message by SMTP', () => {
  it('goes to everybody who is named, and has one id however often it is told', async () => {
    const server = await startMailServer({ user: 'headgate', pass: 'letters-please' })
    const notifier = notifierTo(server.port, { username: 'headgate', password: 'letters-please' })
    await notifier.send(NOTICE, signal)
    await notifier.send({ ...NOTICE, repeat: true }, signal)
    await server.close()
    const [first, second] = server.letters
    expect(first?.to).toEqual(to)
    expect(first?.headers.Subject).toBe('shop production: production-20261120-103015 waits for an approval')
    expect(first?.headers['Message-ID']).toBe('<production-20261120-103015-3@example.com>')
    expect(second?.headers['Message-ID']).toBe(first?.headers['Message-ID'])
    expect(second?.headers.Subject).toContain('(told before, perhaps)')
  })

  it('is refused by a server that wants another password, which nobody is told', async () => {
    const server = await startMailServer({ user: 'headgate', pass: 'letters-please' })
    const notifier = notifierTo(server.port, { username: 'headgate', password: 'guessed-wrong' })
    const error = await notifier.send(NOTICE, signal).catch((thrown: unknown) => thrown)
    await server.close()
    expect(String(error)).toContain(`mail server 127.0.0.1:${server.port}: Invalid login`)
    expect(String(error)).not.toContain('guessed-wrong')
  })

  it('is not begun when somebody only looks whether the server lets him in', async () => {
    const credentials = { user: 'headgate', pass: 'letters-please' }
    const server = await startMailServer(credentials)
    const login = { username: 'headgate', password: 'letters-please' }
    const found = await notifierTo(server.port, login).reach(signal)
    const guess = notifierTo(server.port, { ...login, password: 'guessed-wrong' }).reach(signal)
    await expect(guess).rejects.toThrow('Invalid login')
    await server.close()
    expect(found).toBe(`mail server 127.0.0.1:${server.port} answers, and lets headgate in`)
    expect(server.letters).toEqual([])
  })

  it('is not sent in clear text where TLS is wanted', async () => {
    const server = await startMailServer()
    const error = await notifierTo(server.port, { tls: 'starttls' })
      .send(NOTICE, signal)
      .catch((thrown: unknown) => thrown)
    await server.close()
    expect(String(error)).toMatch(/STARTTLS/i)
    expect(server.letters).toEqual([])
  })

  it('is not sent to a server whose certificate nobody vouches for', async () => {
    const server = await startMailServer(undefined, true)
    const error = await notifierTo(server.port, { tls: 'starttls' })
      .send(NOTICE, signal)
      .catch((thrown: unknown) => thrown)
    await server.close()
    expect(String(error)).toContain('certificate')
    expect(server.letters).toEqual([])
  })

  it('brings no header of its own in a text', async () => {
    const server = await startMailServer()
    await notifierTo(server.port).send({ ...NOTICE, project: 'shop\r\nBcc: everybody@example.com' }, signal)
    await server.close()
    expect(server.letters[0]?.headers.Bcc).toBeUndefined()
    expect(server.letters[0]?.to).toEqual(to)
  })

  it('is never sent to a link-local address', async () => {
    await expect(notifierTo(25, { host: '169.254.169.254' }).send(NOTICE, signal)).rejects.toThrow('never asked')
  })

  it('is told of as such where nodemailer is not installed, with what to type', async () => {
    const installed = installedWithout('nodemailer')
    const asked = `
      import { createNotifier } from './dist/adapters/notifier/index.js'
      import { knownFailure } from './dist/domain/failures.js'
      const configuration = ${JSON.stringify({ kind: 'email', host: '127.0.0.1', port: 25, tls: 'none', from: 'a@example.com', to })}
      const notifier = createNotifier(configuration, { directory: '/', secrets: [] })
      const tries = [notifier.send(${JSON.stringify(NOTICE)}, new AbortController().signal), notifier.reach(new AbortController().signal)]
      const ended = await Promise.allSettled(tries)
      console.log(JSON.stringify(ended.map(({ reason }) => knownFailure(reason))))`
    const said = await installed.run(asked).finally(() => installed.remove())
    const missing = {
      code: 'ToolMissing',
      message: 'the notifier email needs nodemailer, which is not installed',
      detail: { hint: 'npm install nodemailer@10 beside headgate' },
    }
    expect(JSON.parse(said)).toMatchObject([missing, missing])
  })
})
