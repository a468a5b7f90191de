import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cacheFolder } from '../../../src/adapters/process/provision.js'
import { ALEMBIC } from '../../support/alembic-release.js'
import { type GitHub, startGitHub, TOKEN } from '../../support/github.js'
import { freePort, type HttpServer, json, startHttpServer } from '../../support/http-server.js'
import { type Broker, startKafka } from '../kafka.js'
import { Company } from './company.js'

const CONSUMER = fileURLToPath(new URL('../../../examples/kafka/consumer.mjs', import.meta.url))

let company: Company
let broker: Broker
let github: GitHub
let slack: HttpServer
let splunk: HttpServer
let consumer: ChildProcess
let producer: Producer
let isSending = true
let sent = 0
let sending: Promise<unknown>

/** Until `isSending` is over: messages to the topic, and people who look at their bookings while the API is there. */
async function send(): Promise<void> {
  for (; isSending; await pause(200)) {
    const key = `message-${sent + 1}`
    await producer.send({ topic: 'bookings', messages: [{ key, value: 'customer of the topic' }] })
    sent += 1
  }
}
async function look(): Promise<void> {
  for (; isSending; await pause(20)) await fetch(`http://127.0.0.1:${company.env.API_PORT}/bookings`).catch(() => {})
}

async function startConsumer(port: number): Promise<void> {
  const env = { KAFKA: broker.address, TOPIC: 'bookings', DATABASE_URL: company.env.DATABASE_URL, PORT: String(port) }
  consumer = spawn(process.execPath, [CONSUMER], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (consumer.stdout) await once(consumer.stdout, 'data')
}

beforeEach(async () => {
  company = await Company.found('kafka')
  broker = await startKafka(cacheFolder())
  github = await startGitHub()
  slack = await startHttpServer((_, response) => void response.end('ok'))
  splunk = await startHttpServer((_, response) => json(response, 200, { results: [{ count: 0 }] }))
  const [api, port] = [await freePort(), await freePort()]
  Object.assign(company.env, {
    ...{ API_PORT: String(api), CONSUMER_URL: `http://127.0.0.1:${port}`, KAFKA: broker.address },
    ...{ GITHUB_URL: github.server.url, GITHUB_TOKEN: TOKEN, SPLUNK_URL: splunk.url },
    ...{ SLACK_WEBHOOK: `${slack.url}/services/T0/B0/secret`, PATH: `${dirname(ALEMBIC)}:${company.env.PATH}` },
  })
  for (const tag of ['1', '2']) await company.build(`portfolio:${tag}`)
  company.shell('alembic', ['upgrade', '0051'])
  company.shell('docker', ['compose', 'up', '--detach', '--wait'], { IMAGE_TAG: '1' })
  const kafka = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'bookings', numPartitions: 2 }] })
  await admin.disconnect()
  producer = kafka.producer()
  await producer.connect()
  sending = Promise.all([send(), look()])
  await startConsumer(port)
  while ((await company.rows(`select 1 from bookings where correlation = 'message-1'`)).length === 0) await pause(50)
  await company.startWorker()
})
afterEach(async () => {
  isSending = false
  await sending
  await producer.disconnect()
  consumer.kill('SIGTERM')
  await once(consumer, 'exit')
  company.shell('docker', ['compose', 'down', '--timeout', '1'], { IMAGE_TAG: '1' })
  for (const server of [github.server, slack, splunk]) await server.close()
  await broker.end()
  await company.end()
})

/** `npx vitest run --config test/real/vitest.config.ts test/real/examples/kafka.real.ts -u` writes its pages anew. */
test('the process of examples/kafka goes its whole way, and each message is worked on once', async () => {
  await company.readme()
  expect(await company.rows('select version_num from alembic_version')).toEqual([{ version_num: '0053' }])
  isSending = false
  await sending
  const worked = `select count(*)::int as all, count(distinct correlation)::int as once from bookings where correlation like 'message-%'`
  await expect.poll(() => company.rows(worked), { timeout: 30_000 }).toEqual([{ all: sent, once: sent }])
  const changed = github.server.received
    .filter(({ method }) => method === 'PUT')
    .map(({ path }) => path.split('/').at(-1))
  expect(changed).toEqual(['disable', 'enable', 'disable', 'enable'])
  const told = slack.received.map(({ body }) => JSON.parse(body).text.replace(/^.*staging-\S+ /, ''))
  expect(told).toEqual(['has begun', 'waits for an approval', 'succeeded'])
})
