import type { Admin } from 'kafkajs'
import type { KafkaGroup } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure, messageOf } from '../../domain/failures.js'
import type { Consumer, ConsumerContext, Kept } from './port.js'

const ANSWERED_WITHIN_MS = 5_000
/** Of a partition that nothing was committed for, where it is told at all. */
const NEVER = '-1'
/** What a broker says of a classic group that is not there. */
const UNKNOWN = 'Dead'

interface Found {
  members: number
  /** Messages whose handling was committed: the sum of the offsets. */
  committed: number
  lag: number
}

/** A consumer of any kind, with what Kafka says of its group. What it says of itself is asked first. */
export const withGroup = (consumer: Consumer, group: KafkaGroup, context: ConsumerContext): Consumer => ({
  ...consumer,
  ...(group.maxLag === undefined ? {} : { maxLag: group.maxLag }),
  async state(signal) {
    const own = await consumer.state(signal)
    const { members, committed, lag } = await asked(consumer.name, group, context, ofGroup)
    const staying = own.state === 'paused' && group.members === 'none' ? members : 0
    return { ...own, inFlight: own.inFlight + staying, lag, processed: committed, members }
  },
  positions: () => asked(consumer.name, group, context, positionsOf),
  kept: () => asked(consumer.name, group, context, keptOf),
})

async function asked<T>(
  name: string,
  group: KafkaGroup,
  { secrets }: ConsumerContext,
  ask: (admin: Admin, id: string) => Promise<T>,
): Promise<T> {
  const { Kafka, logLevel } = await import('kafkajs').catch(() => {
    throw failure('ToolMissing', `consumer ${name} has a Kafka group: kafkajs is not installed`, undefined, {
      hint: 'npm install kafkajs@2 beside headgate',
    })
  })
  const { brokers, ssl, sasl } = group
  const kafka = new Kafka({
    ...{ clientId: 'headgate', brokers, ssl, ...(sasl && { sasl }), logLevel: logLevel.NOTHING },
    ...{ connectionTimeout: ANSWERED_WITHIN_MS, requestTimeout: ANSWERED_WITHIN_MS, retry: { retries: 1 } },
  })
  const admin = kafka.admin()
  const hidden = [...secrets, ...(sasl ? [sasl.password] : [])]
  try {
    await admin.connect()
    return await ask(admin, group.id)
  } catch (error) {
    throw failure('ConsumerNotQuiet', `consumer ${name}: Kafka group ${group.id}: ${excerpt(messageOf(error), hidden)}`)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

async function ofGroup(admin: Admin, id: string): Promise<Found> {
  const [described] = (await admin.describeGroups([id])).groups
  if (described?.state === UNKNOWN) {
    const { groups } = await admin.listGroups()
    // A group of the protocol of Kafka 4 (KIP-848) is there, and does not answer to the question of before: its members are not known.
    if (groups.some(({ groupId }) => groupId === id))
      throw new Error(
        'it is of the new consumer protocol, whose members cannot be asked for: leave out `group`, or use group.protocol=classic',
      )
    throw new Error('there is no such group')
  }
  const topics = await admin.fetchOffsets({ groupId: id })
  let committed = 0
  let lag = 0
  for (const { topic, partitions } of topics) {
    const known = new Map(partitions.filter(({ offset }) => offset !== NEVER).map((one) => [one.partition, one.offset]))
    // Also of partitions that nothing was committed for: all of them is waiting.
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      const offset = known.get(partition)
      committed += Number(offset ?? 0)
      lag += Math.max(0, Number(high) - Number(offset ?? low))
    }
  }
  return { members: described?.members.length ?? 0, committed, lag }
}

/** The committed offsets, by topic and partition. */
async function positionsOf(admin: Admin, id: string): Promise<Record<string, string>> {
  const topics = await admin.fetchOffsets({ groupId: id })
  return Object.fromEntries(
    topics.flatMap(({ topic, partitions }) =>
      partitions
        .filter(({ offset }) => offset !== NEVER)
        .map(({ partition, offset }) => [`${topic}/${partition}`, offset]),
    ),
  )
}

/** `ConfigResourceTypes` of Kafka's protocol. */
const TOPIC = 2
const BROKER = 4
const MINUTE_MS = 60_000

/** How long the topics that the group reads keep messages, and brokers the offsets of a group that nobody is in. */
async function keptOf(admin: Admin, id: string): Promise<Kept[]> {
  const topics = (await admin.fetchOffsets({ groupId: id })).map(({ topic }) => topic)
  const { brokers } = await admin.describeCluster()
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [
      ...topics.map((name) => ({ type: TOPIC, name, configNames: ['retention.ms', 'cleanup.policy'] })),
      ...brokers.map(({ nodeId }) => ({
        ...{ type: BROKER, name: String(nodeId), configNames: ['offsets.retention.minutes'] },
      })),
    ],
  })
  return resources.flatMap(({ resourceType, resourceName, configEntries }) => {
    const values = new Map(configEntries.map(({ configName, configValue }) => [configName, configValue]))
    if (resourceType === BROKER) {
      const minutes = Number(values.get('offsets.retention.minutes') ?? Number.POSITIVE_INFINITY)
      return [{ what: `offsets of group ${id} without members`, ms: minutes * MINUTE_MS }]
    }
    // What is only compacted keeps the newest of each key for ever; -1 keeps all.
    const ms = Number(values.get('retention.ms') ?? -1)
    const isKept = ms < 0 || !String(values.get('cleanup.policy') ?? 'delete').includes('delete')
    return isKept ? [] : [{ what: `messages of topic ${resourceName}`, ms }]
  })
}
