import { expect, it } from 'vitest'
import { installedWithout } from '../../support/installed-without.js'

const ASKED = `
  import { createConsumer } from './dist/adapters/consumer/index.js'
  import { knownFailure } from './dist/domain/failures.js'
  const status = ['echo', '{"state":"running","inFlight":0}']
  const group = { brokers: ['127.0.0.1:9092'], id: 'orders', members: 'none', ssl: false }
  const configuration = { kind: 'command', pause: ['true'], resume: ['true'], status, within: 5000, group }
  const consumer = createConsumer('orders', configuration, { directory: '/', secrets: [] })
  await consumer.state(new AbortController().signal).catch((error) => console.log(JSON.stringify(knownFailure(error))))`

it('a Kafka group where kafkajs is not installed is told of, with what to type', async () => {
  const installed = installedWithout('kafkajs')
  const said = await installed.run(ASKED).finally(() => installed.remove())
  expect(JSON.parse(said)).toMatchObject({
    code: 'ToolMissing',
    message: 'consumer orders has a Kafka group: kafkajs is not installed',
    detail: { hint: 'npm install kafkajs@2 beside headgate' },
  })
})
