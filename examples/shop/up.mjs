#!/usr/bin/env node
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { migrateFirstRelease } from './parts/first-release.mjs'
import { databaseUrlFromEnvironment, homeOf } from './parts/settings.mjs'

/** The whole shop in one terminal, for trying Headgate by hand: Ctrl-C ends it. */
const { values } = parseArgs({ options: { home: { type: 'string' }, rate: { type: 'string', default: '10' } } })
const home = homeOf(values.home)
const serviceUrl = new URL(process.env.SHOP_URL ?? 'http://127.0.0.1:8080')
const consumerUrl = new URL(process.env.SHOP_CONSUMER_URL ?? 'http://127.0.0.1:8081')
const program = (name) => fileURLToPath(new URL(`${name}.mjs`, import.meta.url))
const control = (...args) => execFileSync(process.execPath, [program('control'), '--home', home, ...args])
/** Groups of their own: Ctrl-C is ours to hear, and they end in our order. */
const start = (name, ...args) =>
  spawn(process.execPath, [program(name), '--home', home, ...args], { stdio: 'inherit', detached: true })

/** Heard from the beginning: whoever ends it while it comes up must not be left with half a shop. */
const asked = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])

await migrateFirstRelease(databaseUrlFromEnvironment())
control('init', '--port', serviceUrl.port)
control(...(`${control('current')}`.trim() ? ['start'] : ['deploy', '1']))
const consumer = start('consumer', '--port', consumerUrl.port)
const client = start('client', '--url', serviceUrl.origin, '--rate', values.rate)
console.log(
  `release ${`${control('current')}`.trim()} serves ${serviceUrl.origin}; what it writes is in ${home}; Ctrl-C ends it`,
)

const ended = [consumer, client].map((child) => once(child, 'exit'))
await Promise.race([asked, ...ended])
// The client first: what it asked for is still answered.
for (const [index, child] of [client, consumer].entries()) {
  child.kill('SIGTERM')
  await ended[1 - index]
}
control('stop')
