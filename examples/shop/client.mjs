#!/usr/bin/env node
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openAcknowledgements } from './parts/acknowledgements.mjs'
import { homeOf, paths } from './parts/settings.mjs'
import { publish } from './parts/topic.mjs'

const RETRY_MS = { first: 50, most: 500 }
const ANSWER_WITHIN_MS = 10_000
/** How long orders under way may go on being asked for once we were told to end. */
const END_WITHIN_MS = 10_000

const { values } = parseArgs({
  options: {
    home: { type: 'string' },
    url: { type: 'string', default: process.env.SHOP_URL ?? 'http://127.0.0.1:8080' },
    acknowledged: { type: 'string' },
    topic: { type: 'string' },
    rate: { type: 'string', default: '10' },
    messages: { type: 'string', default: '5' },
    concurrency: { type: 'string', default: '4' },
  },
})
const files = paths(homeOf(values.home))
const acknowledgements = await openAcknowledgements(values.acknowledged ?? files.acknowledged)
const counts = { acknowledged: 0, retried: 0, refused: 0, abandoned: 0, messages: 0 }
const session = randomUUID().slice(0, 8)
let number = 0

const ending = new AbortController()
const giveUp = new AbortController()
process.once('SIGTERM', end)
process.once('SIGINT', end)

const lanes = Array.from({ length: Number(values.concurrency) }, (_, lane) => keepOrdering(lane))
await Promise.all([...lanes, keepPublishing()])
await acknowledgements.close()
console.log(JSON.stringify(counts))
process.exit(counts.refused > 0 ? 1 : 0)

function end() {
  ending.abort()
  setTimeout(() => giveUp.abort(), END_WITHIN_MS).unref()
}

/** One order after the other, evenly spaced, until we are told to end. */
async function keepOrdering(lane) {
  const spaceMs = (1_000 * Number(values.concurrency)) / Number(values.rate)
  await rest((spaceMs * lane) / Number(values.concurrency))
  while (!ending.signal.aborted) {
    const next = rest(spaceMs)
    await order(++number)
    await next
  }
}

/** Few customers and few articles: before long somebody orders the same again. */
async function order(n) {
  const key = `order-${session}-${String(n).padStart(6, '0')}`
  const body = JSON.stringify({ customer: `Customer ${n % 3}`, item: `Blue Shirt ${n % 2}`, quantity: 1 + (n % 4) })
  for (let waitMs = RETRY_MS.first; ; waitMs = Math.min(waitMs * 2, RETRY_MS.most)) {
    const answer = await ask(key, body)
    if (answer === 'refused') return void counts.refused++
    if (answer === 'acknowledged') {
      await acknowledgements.add(key)
      return void counts.acknowledged++
    }
    if (giveUp.signal.aborted) return void counts.abandoned++
    counts.retried++
    await sleep(waitMs)
  }
}

/** Acknowledged is what came back as ours, under its key and correlation; what came to no answer is asked for again. */
async function ask(key, body) {
  const correlation = `client-${key}`
  const headers = { 'content-type': 'application/json', 'idempotency-key': key, 'x-correlation-id': correlation }
  try {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS)
    const response = await fetch(`${values.url}/orders`, { method: 'POST', headers, body, signal })
    const answer = await response.json()
    if (response.status >= 400 && response.status < 500) return refused(key, response.status, answer)
    if (!response.ok) return 'unavailable'
    const isOurs = answer.order?.key === key && response.headers.get('x-correlation-id') === correlation
    return isOurs && answer.correlationId === correlation ? 'acknowledged' : refused(key, response.status, answer)
  } catch {
    return 'unavailable'
  }
}

function refused(key, status, answer) {
  console.error(`${key} was refused: ${status} ${JSON.stringify(answer)}`)
  return 'refused'
}

/** Stock comes and goes whether the shop is open or not: the consumer finds it waiting. */
async function keepPublishing() {
  const rate = Number(values.messages)
  for (let n = 1; rate > 0 && !ending.signal.aborted; n++) {
    const id = `stock-${session}-${String(n).padStart(6, '0')}`
    await publish(values.topic ?? files.topic, { id, sku: `blue-shirt-${n % 2}`, delta: n % 5 === 0 ? 20 : -1 })
    counts.messages++
    await rest(1_000 / rate)
  }
}

/** Sleeps, less long when we are told to end. */
async function rest(ms) {
  await sleep(ms, undefined, { signal: ending.signal }).catch(() => {})
}
