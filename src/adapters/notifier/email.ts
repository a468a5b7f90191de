import type { NotifierConfiguration } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure, messageOf } from '../../domain/failures.js'
import { leadsAstray } from '../http/address.js'
import type { Notice, Notifier, NotifierContext } from './port.js'
import { sayable } from './sayable.js'
import { titleOf } from './wording.js'

const WITHIN_MS = 5_000

type Configuration = Extract<NotifierConfiguration, { kind: 'email' }>

/** Sends the notice as a plain text message by SMTP. Told twice it has one Message-ID: mailboxes drop the second. */
export function email(configuration: Configuration, { secrets }: NotifierContext): Notifier {
  const { host, port, from, to, username, password } = configuration
  const what = `mail server ${host}:${port}`
  const hidden = password === undefined ? secrets : [...secrets, password]
  const connected = async (use: (transport: Transport) => Promise<unknown>, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    const transport = await transportTo(configuration)
    const end = (): void => transport.close()
    signal.addEventListener('abort', end, { once: true })
    try {
      await use(transport)
    } catch (error) {
      signal.throwIfAborted()
      throw new Error(`${what}: ${excerpt(messageOf(error), hidden)}`)
    } finally {
      signal.removeEventListener('abort', end)
      transport.close()
    }
  }
  return {
    send: (notice, signal) =>
      connected(
        (transport) => transport.sendMail({ from, to: [...to], ...letterOf(sayable(notice, secrets), from) }),
        signal,
      ),
    reach: async (signal) => {
      // It says who it is and goes: no message is begun.
      await connected((transport) => transport.verify(), signal)
      return username === undefined ? `${what} answers` : `${what} answers, and lets ${username} in`
    },
  }
}

type Transport = Awaited<ReturnType<typeof transportTo>>

async function transportTo({ host, port, tls, username, password }: Configuration) {
  if (await leadsAstray(host).catch(() => false)) throw new Error('a link-local address is never asked')
  const { createTransport } = await import('nodemailer').catch(() => {
    throw failure('ToolMissing', 'the notifier email needs nodemailer, which is not installed', undefined, {
      hint: 'npm install nodemailer@10 beside headgate',
    })
  })
  return createTransport({
    ...{ host, port, secure: tls === 'always', requireTLS: tls === 'starttls', ignoreTLS: tls === 'none' },
    ...(username === undefined ? {} : { auth: { user: username, pass: password ?? '' } }),
    ...{ connectionTimeout: WITHIN_MS, greetingTimeout: WITHIN_MS, socketTimeout: WITHIN_MS, dnsTimeout: WITHIN_MS },
    // What is sent is text of ours: nothing is read from files or fetched.
    ...{ disableFileAccess: true, disableUrlAccess: true },
  })
}

function letterOf(notice: Notice, from: string): { subject: string; text: string; messageId: string } {
  const { run, sequence, text, next } = notice
  const domain = /@([^\s>@]+)/.exec(from)?.[1] ?? 'headgate.invalid'
  return {
    subject: titleOf(notice).replaceAll(/\s+/g, ' '),
    text: [text, ...(next === undefined ? [] : ['', `next: ${next}`])].join('\n'),
    messageId: `<${run}-${sequence}@${domain}>`,
  }
}
