#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openSession } from './parts/database.mjs'
import { databaseUrlFromEnvironment } from './parts/settings.mjs'

const USAGE = `ledger.mjs compare --acknowledged FILE DATABASE...
  Looks for each acknowledged order in the databases: names beside the one of SHOP_DATABASE_URL, or URLs.
  Without any: the one of SHOP_DATABASE_URL. Exit 1 when an order is missing.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { acknowledged: { type: 'string' }, json: { type: 'boolean', default: false } },
})
const [command, ...databases] = positionals
if (command !== 'compare' || !values.acknowledged) {
  console.error(USAGE)
  process.exit(2)
}

try {
  await compare(values.acknowledged, databases.length > 0 ? databases : [databaseUrlFromEnvironment()])
} catch (error) {
  console.error(error.message)
  process.exit(2)
}

async function compare(file, names) {
  const acknowledged = new Set(readFileSync(file, 'utf8').split('\n').filter(Boolean))
  const found = new Set()
  for (const name of names) {
    for (const key of await keysIn(urlOf(name))) if (acknowledged.has(key)) found.add(key)
  }
  const missing = [...acknowledged].filter((key) => !found.has(key))
  if (values.json) console.log(JSON.stringify({ acknowledged: acknowledged.size, found: found.size, missing }))
  else print(acknowledged.size, found.size, missing)
  process.exitCode = missing.length > 0 ? 1 : 0
}

function print(acknowledged, found, missing) {
  console.log(`${acknowledged} orders acknowledged, ${found} found, ${missing.length} missing`)
  for (const key of missing) console.log(`missing: ${key}`)
}

/** A name stands for the database of that name on the shop's own server: a quarantine, mostly. */
function urlOf(name) {
  if (/^postgres(ql)?:\/\//.test(name)) return name
  const url = new URL(databaseUrlFromEnvironment())
  url.pathname = `/${encodeURIComponent(name)}`
  return url.href
}

async function keysIn(url) {
  const session = await openSession(url, 'shop-ledger')
  try {
    const { rows } = await session.query('SELECT idempotency_key AS key FROM orders')
    return rows.map(({ key }) => key)
  } finally {
    await session.end()
  }
}
