import { describe, expect, it } from 'vitest'
import { createNotifier } from '../../../src/adapters/notifier/index.js'
import { type HttpServer, startHttpServer } from '../../support/http-server.js'
import { NOTICE, notifierContract, SECRET } from './contract.js'

interface Block {
  type: string
  text: { type: string; text: string }
}
interface Message {
  text: string
  blocks: Block[]
}

/** An incoming webhook, which refuses what Slack's own does: docs.slack.dev, *Sending messages using incoming webhooks*. */
function startSlack(refusal: () => string | undefined): Promise<HttpServer> {
  return startHttpServer(({ method, headers, body }, response) => {
    const say = (status: number, word: string): void => {
      response.writeHead(status, { 'content-type': 'text/html' })
      response.end(word)
    }
    if (method !== 'POST') return say(405, 'method_not_allowed')
    if (headers['content-type'] !== 'application/json') return say(400, 'invalid_payload')
    const refused = refusal()
    if (refused !== undefined) return say(403, refused)
    const { text, blocks }: Message = JSON.parse(body)
    if (!text) return say(400, 'no_text')
    const isBad = ({ type, text }: Block): boolean =>
      type !== 'section' || text.type !== 'mrkdwn' || text.text.length === 0 || text.text.length > 3_000
    return blocks.length > 50 || blocks.some(isBad) ? say(400, 'invalid_blocks') : say(200, 'ok')
  })
}

const unescaped = (text = ''): string => text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')

notifierContract('slack', async (secrets) => {
  let refusal: string | undefined
  const server = await startSlack(() => refusal)
  return {
    notifier: createNotifier({ kind: 'slack', url: `${server.url}/services/T0/B0/x` }, { directory: '/', secrets }),
    arrived: () =>
      server.received.map(({ body }) => {
        const { blocks }: Message = JSON.parse(body)
        const [, text, next] = blocks.map((block) => unescaped(block.text.text))
        return { ...NOTICE, text, ...(next === undefined ? {} : { next: next.replaceAll('`', '') }) }
      }),
    refuse: (text) => {
      refusal = text
    },
    leave: server.close,
    close: server.close,
  }
})

describe('a message to Slack', () => {
  const said = async (notice: Partial<typeof NOTICE> & { repeat?: true }): Promise<Message> => {
    const server = await startSlack(() => undefined)
    try {
      const notifier = createNotifier({ kind: 'slack', url: server.url }, { directory: '/', secrets: [SECRET] })
      await notifier.send({ ...NOTICE, ...notice }, new AbortController().signal)
      return JSON.parse(server.received[0]?.body ?? '')
    } finally {
      await server.close()
    }
  }

  it('says in its first line which run of what it is about', async () => {
    const { text } = await said({})
    expect(text).toBe('shop production: production-20261120-103015 waits for an approval')
  })

  it('calls nobody, whatever stands in its text', async () => {
    const { blocks } = await said({ text: '<!channel> & <@U123>' })
    expect(blocks[1]?.text.text).toBe('&lt;!channel&gt; &amp; &lt;@U123&gt;')
  })

  it('is cut where Slack would refuse it', async () => {
    const { blocks } = await said({ text: 'x'.repeat(10_000) })
    expect(blocks[1]?.text.text).toHaveLength(3_000)
  })

  it('is marked where it may have arrived before', async () => {
    expect((await said({ repeat: true })).text).toContain('(told before, perhaps)')
  })
})
