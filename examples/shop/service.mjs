#!/usr/bin/env node
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import { isAway, isForeignSchema, openPool } from './parts/database.mjs'
import { close, Refusal, readJson, serve } from './parts/http.mjs'
import { ordersOf } from './parts/orders.mjs'
import { readinessOf } from './parts/readiness.mjs'
import { readRelease } from './parts/releases.mjs'
import { databaseUrlFromEnvironment } from './parts/settings.mjs'

/** How long requests under way may take once we were told to end. */
const END_WITHIN_MS = 15_000
const KEY = /^[\x21-\x7e]{1,200}$/

const { values } = parseArgs({ options: { release: { type: 'string' }, port: { type: 'string' } } })
const release = readRelease(values.release ?? '')
const pool = openPool(databaseUrlFromEnvironment(), 'shop-api')
const orders = ordersOf(pool, release)
const readiness = readinessOf(pool, release, orders)

const server = await serve(
  Number(values.port),
  {
    'POST /orders': async (context) => {
      const correlationId = echoCorrelation(context)
      const idempotencyKey = headerOf(context.request, 'idempotency-key')
      if (!idempotencyKey) throw new Refusal(400, 'Idempotency-Key is missing')
      const wanted = { ...orderIn(await readJson(context.request)), idempotencyKey, correlationId }
      const { created, order } = await orders.place(wanted)
      if (order.customer !== wanted.customer || order.quantity !== wanted.quantity)
        throw new Refusal(409, 'this Idempotency-Key made another order')
      return { status: created ? 201 : 200, body: { order } }
    },
    'GET /orders': async (context) => {
      echoCorrelation(context)
      const id = context.url.searchParams.get('correlation')
      if (!id) throw new Refusal(400, 'say which: ?correlation=ID')
      return { body: { orders: await orders.withCorrelation(id) } }
    },
    'GET /orders/health': async (context) => {
      echoCorrelation(context)
      await orders.withCorrelation('health')
      return { body: { ok: true, release: release.tag } }
    },
    'GET /readyz': async () => {
      const body = await readiness()
      return { status: body.ok ? 200 : 503, body }
    },
    'GET /version': async () => ({ body: { release: release.tag, schema: release.schema, pid: process.pid } }),
  },
  (error) => {
    if (isAway(error) || isForeignSchema(error)) return unavailable(error)
    console.error(error)
    return { status: 500, body: { error: 'this is our fault' } }
  },
)
console.log(`release ${release.tag} listens on http://127.0.0.1:${server.address().port}`)

process.once('SIGTERM', end)
process.once('SIGINT', end)

async function end() {
  setTimeout(() => process.exit(1), END_WITHIN_MS).unref()
  await close(server)
  await pool.end()
  process.exit(0)
}

/** Nothing is acknowledged that may not be committed: the client asks again with the same key. */
const unavailable = (error) => ({
  status: 503,
  headers: { 'retry-after': '1' },
  body: { error: `the database is away: ${error.message}` },
})

const headerOf = (request, name) => {
  const value = request.headers[name]
  if (value !== undefined && !KEY.test(value)) throw new Refusal(400, `${name} is 1 to 200 visible characters`)
  return value
}

/** Sent back in header and body, whatever the answer will be. */
function echoCorrelation(context) {
  const correlationId = headerOf(context.request, 'x-correlation-id') ?? randomUUID()
  context.echoed = { headers: { 'x-correlation-id': correlationId }, body: { correlationId } }
  return correlationId
}

function orderIn(body) {
  const { customer, item, quantity } = body ?? {}
  const isText = (value) => typeof value === 'string' && value !== ''
  if (isText(customer) && isText(item) && Number.isInteger(quantity) && quantity > 0 && quantity <= 1_000)
    return { customer, item, quantity }
  throw new Refusal(400, 'an order is {"customer":"…","item":"…","quantity":1}')
}
