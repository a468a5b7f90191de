// Takes bookings from a topic: node consumer.mjs, with KAFKA, TOPIC, DATABASE_URL and PORT. Paused it leaves its group.
import { createServer } from 'node:http'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'

const { KAFKA, TOPIC, DATABASE_URL, PORT } = process.env
const kafka = new Kafka({ brokers: [KAFKA], logLevel: logLevel.NOTHING })
let consumer
let processed = 0
let inFlight = 0

async function write(correlation, customer) {
  const client = new pg.Client({ connectionString: DATABASE_URL, application_name: 'consumer' })
  client.on('error', () => {})
  await client.connect()
  try {
    const sql = 'insert into bookings (customer, correlation) values ($1, $2) on conflict (correlation) do nothing'
    await client.query(sql, [customer, correlation])
  } finally {
    await client.end()
  }
}

/** A message that cannot be written comes again: its offset is not committed. */
async function resume() {
  if (consumer) return
  consumer = kafka.consumer({ groupId: 'bookings', retry: { retries: 100, initialRetryTime: 100, maxRetryTime: 500 } })
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ message }) => {
      inFlight += 1
      try {
        await write(String(message.key), String(message.value))
        processed += 1
      } finally {
        inFlight -= 1
      }
    },
  })
}

async function pause() {
  const leaving = consumer
  consumer = undefined
  await leaving?.disconnect()
}

const server = createServer(async (request, response) => {
  try {
    if (request.url === '/pause') await pause()
    if (request.url === '/resume') await resume()
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ state: consumer ? 'running' : 'paused', inFlight, processed }))
  } catch (error) {
    response.statusCode = 503
    response.end(JSON.stringify({ error: error.message }))
  }
})
process.once('SIGTERM', async () => {
  await pause()
  server.close()
  process.exit(0)
})
await resume()
server.listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
