#!/usr/bin/env node
import { existsSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { consume } from './parts/consuming.mjs'
import { close, serve } from './parts/http.mjs'
import { databaseUrlFromEnvironment, homeOf, paths, writeWhole } from './parts/settings.mjs'

const { values } = parseArgs({
  options: { home: { type: 'string' }, port: { type: 'string', default: '8081' }, topic: { type: 'string' } },
})
const files = paths(homeOf(values.home))
const consumer = consume({
  databaseUrl: databaseUrlFromEnvironment(),
  topic: 'stock-movements',
  file: values.topic ?? files.topic,
  paused: existsSync(files.paused),
})

const server = await serve(
  Number(values.port),
  {
    'GET /status': async () => ({ body: await consumer.status() }),
    // Written down before it is said: a consumer that dies while the gate is closed comes back paused.
    'POST /pause': async () => {
      writeWhole(files.paused, '')
      await consumer.pause()
      return { body: await consumer.status() }
    },
    'POST /resume': async () => {
      rmSync(files.paused, { force: true })
      consumer.resume()
      return { body: await consumer.status() }
    },
  },
  (error) => {
    console.error(error)
    return { status: 500, body: { error: error.message } }
  },
)
console.log(`the consumer answers on http://127.0.0.1:${server.address().port}`)

process.once('SIGTERM', end)
process.once('SIGINT', end)

/** Finishes the messages it has taken. */
async function end() {
  await consumer.end()
  await close(server)
  process.exit(0)
}
