import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Admin, ConfigResourceTypes, Kafka, logLevel, type Producer } from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createConsumer } from '../../src/adapters/consumer/index.js'
import type { Consumer } from '../../src/adapters/consumer/port.js'
import { proveMoving, proveQuiet } from '../../src/adapters/consumer/quiet.js'
import { cacheFolder } from '../../src/adapters/process/provision.js'
import { movedBetween } from '../../src/domain/positions.js'
import { ConsumerConfiguration } from '../../src/domain/configuration.js'
import { consumerContract } from '../adapters/consumer/contract.js'
import { failureOf } from '../support/failure-of.js'
import { OpenFence } from '../support/open-fence.js'
import { World } from '../support/world.js'
import { type Broker, type Connect, runTool, startConnect, startKafka } from './kafka.js'

const signal = new AbortController().signal
const fence = new OpenFence()
const PROOF = { withinMs: 60_000, signal }
const PAUSED = { state: 'paused', inFlight: 0, members: 0 }

let broker: Broker
let connect: Connect
let producer: Producer
let admin: Admin
beforeAll(async () => {
  broker = await startKafka(cacheFolder())
  connect = await startConnect(broker)
  const kafka = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING })
  producer = kafka.producer()
  admin = kafka.admin()
  await Promise.all([producer.connect(), admin.connect()])
})
afterAll(async () => {
  await Promise.all([producer.disconnect(), admin.disconnect()])
  await connect.end()
  await broker.end()
})

let made = 0
/** A connector that writes what comes into its topic to a file, line by line. */
class Sink {
  readonly name = `orders-sink-${++made}`
  readonly topic = `orders-${made}`
  readonly file = join(broker.folder, `${this.name}.txt`)

  static async create(): Promise<Sink> {
    const sink = new Sink()
    await admin.createTopics({ topics: [{ topic: sink.topic, numPartitions: 2 }] })
    await sink.ask('PUT', 'config', {
      ...{ 'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector', 'tasks.max': '2' },
      ...{ topics: sink.topic, file: sink.file },
    })
    await expect.poll(() => sink.states(), { timeout: 60_000 }).toEqual(['RUNNING', 'RUNNING', 'RUNNING'])
    return sink
  }

  /** Sets the topic's configuration. */
  async configured(entries: Record<string, string>): Promise<void> {
    const configEntries = Object.entries(entries).map(([name, value]) => ({ name, value }))
    await admin.alterConfigs({
      ...{ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: this.topic, configEntries }] },
    })
  }

  ask(method: string, path: string, body?: object): Promise<Response> {
    return fetch(`${connect.url}/connectors/${this.name}/${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
  }

  /** Of the connector, then of its tasks. */
  async states(): Promise<string[]> {
    const answer = await this.ask('GET', 'status')
    if (!answer.ok) return []
    const { connector, tasks } = (await answer.json()) as { connector: { state: string }; tasks: { state: string }[] }
    return [connector.state, ...tasks.map(({ state }) => state)]
  }

  async send(...values: string[]): Promise<void> {
    await producer.send({ topic: this.topic, messages: values.map((value) => ({ key: value, value })) })
  }

  async written(): Promise<string[]> {
    return (await readFile(this.file, 'utf8').catch(() => '')).split('\n').filter(Boolean).sort()
  }

  end(): Promise<Response> {
    return fetch(`${connect.url}/connectors/${this.name}`, { method: 'DELETE' })
  }
}

const consumerOf = (connectors: string[], more: object = {}): Consumer =>
  createConsumer(
    'orders',
    ConsumerConfiguration.parse({ kind: 'kafka-connect', url: connect.url, connectors, within: '60s', ...more }),
    { directory: '.', secrets: ['hunter2-secret'] },
  )

for (const by of ['stop', 'pause'])
  consumerContract(`kafka-connect, by ${by}`, async () => {
    const sink = await Sink.create()
    return {
      consumer: consumerOf([sink.name], { by }),
      state: async () => ((await sink.states())[0] === 'RUNNING' ? 'running' : 'paused'),
      close: async () => void (await sink.end()),
    }
  })

describe('connectors', () => {
  let sink: Sink
  beforeEach(async () => {
    sink = await Sink.create()
  })
  afterEach(() => sink.end())

  test.each(['stop', 'pause'])(
    'take nothing once they are proven quiet by %s, and everything once they go on',
    async (by) => {
      const consumer = consumerOf([sink.name], { by })
      await sink.send('before')
      await expect.poll(() => sink.written(), { timeout: 60_000 }).toEqual(['before'])
      await consumer.pause(fence)
      await proveQuiet(consumer, PROOF)
      expect(await sink.states()).toEqual(by === 'stop' ? ['STOPPED'] : ['PAUSED', 'PAUSED', 'PAUSED'])
      await sink.send('meanwhile', 'and then')
      expect(await sink.written()).toEqual(['before'])
      await consumer.resume(fence)
      await proveMoving(consumer, PROOF)
      await expect.poll(() => sink.written(), { timeout: 60_000 }).toEqual(['and then', 'before', 'meanwhile'])
    },
  )

  test('that a person has paused, or stopped, are paused', async () => {
    await sink.ask('PUT', 'pause')
    await expect.poll(() => sink.states(), { timeout: 60_000 }).toEqual(['PAUSED', 'PAUSED', 'PAUSED'])
    expect(await consumerOf([sink.name]).state(signal)).toEqual({ state: 'paused', inFlight: 0 })
    await sink.ask('PUT', 'stop')
    await expect.poll(() => sink.states(), { timeout: 60_000 }).toEqual(['STOPPED'])
    expect(await consumerOf([sink.name], { by: 'pause' }).state(signal)).toEqual({ state: 'paused', inFlight: 0 })
  })

  test('of which a person has paused one are refused: it would be resumed', async () => {
    const other = await Sink.create()
    await other.ask('PUT', 'pause')
    await expect.poll(() => other.states(), { timeout: 60_000 }).toEqual(['PAUSED', 'PAUSED', 'PAUSED'])
    const failed = await failureOf(consumerOf([sink.name, other.name]).state(signal))
    expect(failed?.message).toContain(`${sink.name} is running, ${other.name} is paused`)
    await other.end()
  })

  test('with a task that failed are told of, with what it failed of', async () => {
    await sink.ask('PUT', 'config', {
      ...{ 'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector', 'tasks.max': '1' },
      ...{ topics: sink.topic, file: '/nowhere/at/all.txt' },
    })
    await sink.send('one')
    await expect.poll(() => sink.states(), { timeout: 60_000 }).toContain('FAILED')
    const failed = await failureOf(consumerOf([sink.name]).state(signal))
    expect(failed?.code).toBe('ConsumerNotQuiet')
    expect(failed?.message).toMatch(/task 0 FAILED: .*ConnectException/)
  })

  test('of which one is gone by then go on without it, and it is named', async () => {
    const gone = await Sink.create()
    const consumer = consumerOf([gone.name, sink.name])
    await consumer.pause(fence)
    await proveQuiet(consumer, PROOF)
    await gone.end()
    const failed = await failureOf(consumer.resume(fence))
    expect(failed).toMatchObject({
      code: 'ConsumerNotMoving',
      message: expect.stringContaining(gone.name),
    })
    await expect.poll(() => sink.states(), { timeout: 20_000 }).toEqual(['RUNNING', 'RUNNING', 'RUNNING'])
  })

  test('that are not there are named', async () => {
    const consumer = consumerOf(['nobody'])
    expect((await failureOf(consumer.state(signal)))?.message).toContain('/connectors/nobody/status: HTTP 404')
    const failed = await failureOf(consumer.pause(fence))
    expect(failed?.message).toContain('Unknown connector nobody')
    expect(failed?.detail.hint).toBeUndefined()
  })
})

describe('the Kafka group of a consumer', () => {
  let sink: Sink
  beforeEach(async () => {
    sink = await Sink.create()
  })
  afterEach(() => sink.end())
  const grouped = (more: object = {}, by = 'stop'): Consumer =>
    consumerOf([sink.name], { by, group: { brokers: [broker.address], id: `connect-${sink.name}`, ...more } })

  test('has nobody in it, and offsets that stand, once that is proven quiet; then its lag falls to nothing', async () => {
    const consumer = grouped({ maxLag: 0 })
    await sink.send('one', 'two')
    await expect.poll(async () => (await consumer.state(signal)).processed, { timeout: 60_000 }).toBe(2)
    await consumer.pause(fence)
    expect(await proveQuiet(consumer, PROOF)).toEqual({ ...PAUSED, lag: 0, processed: 2 })
    await sink.send('three', 'four', 'five')
    expect(await consumer.state(signal)).toEqual({ ...PAUSED, lag: 3, processed: 2 })
    await consumer.resume(fence)
    expect(await proveMoving(consumer, PROOF)).toMatchObject({ state: 'running', lag: 0, processed: 5 })
  })

  test('stands where it stood as long as it is paused, and is told of where somebody moves it', async () => {
    const consumer = grouped()
    await sink.send('one', 'two')
    await expect.poll(async () => (await consumer.state(signal)).processed, { timeout: 60_000 }).toBe(2)
    await consumer.pause(fence)
    await proveQuiet(consumer, PROOF)
    const before = (await consumer.positions?.(signal)) ?? {}
    await sink.send('three')
    expect(movedBetween(before, (await consumer.positions?.(signal)) ?? {})).toEqual([])
    const [[where = '', at = ''] = []] = Object.entries(before).filter(([, offset]) => offset !== '0')
    const [topic = '', partition] = where.split('/')
    const offset = String(Number(at) + 1)
    await admin.setOffsets({
      ...{ groupId: `connect-${sink.name}`, topic, partitions: [{ partition: Number(partition), offset }] },
    })
    expect(movedBetween(before, (await consumer.positions?.(signal)) ?? {})).toEqual([
      `${where} from ${at} to ${offset}`,
    ])
    await consumer.resume(fence)
  })

  test('that somebody stays in is not quiet, unless members may stay', async () => {
    await sink.send('one')
    const consumer = grouped({}, 'pause')
    await expect.poll(async () => (await consumer.state(signal)).processed, { timeout: 60_000 }).toBe(1)
    await consumer.pause(fence)
    const failed = await failureOf(proveQuiet(consumer, { withinMs: 3_000, signal }))
    expect(failed).toMatchObject({ code: 'ConsumerNotQuiet', message: expect.stringContaining('2 in flight') })
    expect(await proveQuiet(grouped({ members: 'any' }, 'pause'), PROOF)).toMatchObject({ inFlight: 0, processed: 1 })
  })

  test('that had somebody in it is not moving before somebody is in it again, though nothing waits', async () => {
    await sink.send('one')
    const connector = grouped()
    await expect.poll(async () => (await connector.state(signal)).processed, { timeout: 60_000 }).toBe(1)
    await connector.pause(fence)
    await proveQuiet(connector, PROOF)
    const group = { brokers: [broker.address], id: `connect-${sink.name}` }
    const status = ['echo', '{"state":"running","inFlight":0}']
    const program = createConsumer(
      'orders',
      ConsumerConfiguration.parse({ kind: 'command', pause: ['true'], resume: ['true'], status, group }),
      { directory: '.', secrets: [] },
    )
    const failed = await failureOf(proveMoving(program, { withinMs: 2_000, signal, hadMembers: true }))
    expect(failed).toMatchObject({
      code: 'ConsumerNotMoving',
      message: expect.stringContaining('lag 0, 1 processed, 0 in its group'),
    })
    // Who takes partitions without a group's help is never in it.
    expect(await proveMoving(program, PROOF)).toMatchObject({ members: 0 })
    await connector.resume(fence)
    expect((await proveMoving(program, { ...PROOF, hadMembers: true })).members).toBeGreaterThan(0)
  })

  test('whose lag stays over its limit is not moving again', async () => {
    const behind = grouped({ maxLag: 0, id: 'nobody-reads' })
    await admin.setOffsets({
      ...{ groupId: 'nobody-reads', topic: sink.topic },
      partitions: [{ partition: 0, offset: '0' }],
    })
    await producer.send({ topic: sink.topic, messages: [{ partition: 0, value: 'waits' }] })
    const failed = await failureOf(proveMoving(behind, { withinMs: 2_000, signal }))
    expect(failed).toMatchObject({
      code: 'ConsumerNotMoving',
      message: expect.stringMatching(/lag 1, .*\(maxLag is 0\)/),
    })
  })

  test('tells for how long its messages and its offsets are kept, where that is not for ever', async () => {
    await sink.send('one')
    await expect.poll(async () => (await grouped().state(signal)).processed, { timeout: 60_000 }).toBe(1)
    const keeps = async (): Promise<Map<string, number>> =>
      new Map((await grouped().kept?.(signal))?.map(({ what, ms }) => [what, ms]))
    const messages = `messages of topic ${sink.topic}`
    const week = 7 * 24 * 60 * 60_000
    const found = await keeps()
    expect(found.get(messages)).toBe(week)
    expect(found.get(`offsets of group connect-${sink.name} without members`)).toBe(week)
    await sink.configured({ 'retention.ms': '60000' })
    await expect.poll(async () => (await keeps()).get(messages), { timeout: 60_000 }).toBe(60_000)
    await sink.configured({ 'retention.ms': '60000', 'cleanup.policy': 'compact' })
    await expect.poll(async () => (await keeps()).has(messages), { timeout: 60_000 }).toBe(false)
  })

  test('that is not there, and a broker that is down, are told of', async () => {
    const unknown = await failureOf(grouped({ id: 'no-such-group' }).state(signal))
    expect(unknown?.message).toContain('Kafka group no-such-group: there is no such group')
    const down = await failureOf(grouped({ brokers: ['127.0.0.1:4'] }).state(signal))
    expect(down).toMatchObject({ code: 'ConsumerNotQuiet' })
    expect(down?.message).toContain('127.0.0.1:4')
  })

  test('of the protocol of Kafka 4 is refused: its members cannot be asked for', async () => {
    const member = runTool(broker, [
      ...['org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server', broker.address],
      ...['--topic', sink.topic, '--group', 'kip-848', '--consumer-property', 'group.protocol=consumer'],
    ])
    const said = async (): Promise<string | undefined> =>
      (await failureOf(grouped({ id: 'kip-848' }).state(signal)))?.message
    await expect.poll(said, { timeout: 60_000 }).toContain('it is of the new consumer protocol')
    await member.end()
  })
})

test('a run pauses a connector, tells of what its group read meanwhile, and has it go on', async () => {
  const sink = await Sink.create()
  await sink.send('one', 'two')
  const group = { brokers: [broker.address], id: `connect-${sink.name}`, maxLag: 0 }
  const orders = { kind: 'kafka-connect', url: connect.url, connectors: [sink.name], within: '60s', group }
  const world = await World.create({
    migrations: { '0002_price.sql': 'alter table orders add column price integer; select pg_sleep(4)' },
    configuration: { consumers: { orders } },
  })
  try {
    await expect.poll(async () => sink.written(), { timeout: 60_000 }).toEqual(['one', 'two'])
    await world.startWorker()
    await world.start()
    await world.until(({ step }) => step === 'migrate')
    expect((await sink.states())[0]).toBe('STOPPED')
    const [{ partitions = [] } = {}] = await admin.fetchOffsets({ groupId: group.id })
    const [{ partition, offset } = { partition: 0, offset: '' }] = partitions.filter(({ offset: at }) => Number(at) > 0)
    await producer.send({ topic: sink.topic, messages: [{ partition, value: 'nobody gets it' }] })
    const next = String(Number(offset) + 1)
    await admin.setOffsets({ groupId: group.id, topic: sink.topic, partitions: [{ partition, offset: next }] })
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded' })
    const told = `orders read ${sink.topic}/${partition} from ${offset} to ${next} meanwhile: it was paused`
    expect(ending.lines.find(({ step }) => step === 'resume-consumers')?.note).toBe(`orders proven moving, ${told}`)
    expect((await world.typed('report', ending.run)).text).toContain(told)
    const [noted] = await world.journal(`select state from {s}.prior_states where kind = 'consumer'`)
    expect(noted).toMatchObject({ state: { state: 'running', members: 2 } })
    expect((await sink.states())[0]).toBe('RUNNING')
  } finally {
    await world.end()
    await sink.end()
  }
})

test('a restore tells of what was read since its backup was taken, though it was paused only now', async () => {
  const sink = await Sink.create()
  await sink.send('one', 'two')
  const group = { brokers: [broker.address], id: `connect-${sink.name}`, maxLag: 0 }
  const orders = { kind: 'kafka-connect', url: connect.url, connectors: [sink.name], within: '60s', group }
  const world = await World.create({
    migrations: { '0002_price.sql': 'alter table orders add column price integer' },
    configuration: { consumers: { orders } },
  })
  try {
    await expect.poll(async () => sink.written(), { timeout: 60_000 }).toEqual(['one', 'two'])
    await world.startWorker()
    await world.start()
    const deployed = await world.ending()
    expect(deployed, JSON.stringify(deployed)).toMatchObject({ outcome: 'succeeded' })
    await producer.send({ topic: sink.topic, messages: [{ partition: 0, value: 'written to what is put away' }] })
    await expect.poll(async () => (await sink.written()).length, { timeout: 60_000 }).toBe(3)
    const [backup] = await world.journal<{ name: string }>('select name from {s}.backups')
    const restored = await world.ending(await world.start('restore', { backup: `${backup?.name}/dump` }))
    expect(restored, JSON.stringify(restored)).toMatchObject({ outcome: 'succeeded' })
    const note = restored.lines.find(({ step }) => step === 'resume-consumers')?.note
    expect(note).toContain(`since ${backup?.name} was taken: the database that was put back has nothing of it`)
    expect(note).toMatch(new RegExp(`orders read ${sink.topic}/0 from .+ to \\d+ since`))
    expect((await world.typed('report', restored.run)).text).toContain('let them be read again')
  } finally {
    await world.end()
    await sink.end()
  }
})

test('a Connect that is down is told of within the time there is', async () => {
  const consumer = consumerOf(['any'], { url: 'http://127.0.0.1:4', within: '1s' })
  expect(await failureOf(consumer.pause(fence))).toMatchObject({ code: 'ConsumerNotQuiet' })
  expect(await failureOf(consumer.resume(fence))).toMatchObject({ code: 'ConsumerNotMoving' })
})
