import type { Admin } from 'kafkajs'
import type { KafkaGroup } from '../../domain/configuration.js'
import { excerpt } from '../../domain/excerpt.js'
import { failure, messageOf } from '../../domain/failures.js'
import type { Consumer, ConsumerContext } from './port.js'

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
    const { members, committed, lag } = await found(consumer.name, group, context)
    const staying = own.state === 'paused' && group.members === 'none' ? members : 0
    return { ...own, inFlight: own.inFlight + staying, lag, processed: committed }
  },
})

async function found(name: string, group: KafkaGroup, { secrets }: ConsumerContext): Promise<Found> {
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
    return await ofGroup(admin, group.id)
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
