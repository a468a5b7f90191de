import type { NotifierConfiguration } from '../../domain/configuration.js'
import type { Notice, Notifier, NotifierContext } from './port.js'
import { answering, post } from './post.js'
import { sayable } from './sayable.js'
import { titleOf } from './wording.js'

/** Of a section block's text; Slack refuses longer ones (api.slack.com/reference/block-kit/blocks#section). */
const LONGEST = 3_000

/** POSTs the notice to an incoming webhook. Slack knows no key of a message: one that is told again says that it may be. */
export function slack(
  { url }: Extract<NotifierConfiguration, { kind: 'slack' }>,
  { secrets }: NotifierContext,
): Notifier {
  const what = `Slack webhook ${new URL(url).origin}`
  return {
    async send(notice, signal) {
      const json = messageOf(sayable(notice, secrets))
      const { status, shown } = await post(what, { url, headers: {}, json, secrets }, signal)
      // It answers `ok`, or says in one word what is wrong: `no_service`, `invalid_payload`, `channel_is_archived`.
      if (status !== 200) throw new Error(`${what}: ${shown}`)
    },
    reach: (signal) => answering(what, url, signal),
  }
}

function messageOf(notice: Notice): object {
  const title = escaped(titleOf(notice))
  const next = notice.next === undefined ? [] : [section(`\`${escaped(notice.next).replaceAll('`', "'")}\``)]
  return { text: title, blocks: [section(`*${title}*`), section(escaped(notice.text)), ...next] }
}

const section = (text: string): object => ({
  type: 'section',
  // Verbatim: names and channels in a text stay what they are.
  text: { type: 'mrkdwn', text: text === '' ? '-' : text.slice(0, LONGEST), verbatim: true },
})

/** The three characters that mean something to Slack: `<!channel>` in a text would call everybody. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
