#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { openSession } from './parts/database.mjs'
import { databaseUrlFromEnvironment, homeOf, paths } from './parts/settings.mjs'

const USAGE = `inspect.mjs [--home FOLDER] [--orders-up-to ID] [--database NAME]
  What an onlooker sees of the shop, as one line of JSON: the release that answers, the orders (those up to an ID, with a
  hash of every value in them), the audit of migrations, and the databases that a restore put aside. With --database:
  the orders of one of those, opened for sessions first.`

/** A restore leaves the database it replaced under this name, closed. */
const PUT_ASIDE = `SELECT datname AS name FROM pg_database
  WHERE datname LIKE replace(left(current_database(), 35), '_', '\\_') || '\\_\\_q\\_%' ORDER BY 1`
const ORDERS = `SELECT count(*)::int AS count, coalesce(max(id), 0)::int AS last,
    md5(coalesce(string_agg(orders::text, E'\\n' ORDER BY id), '')) AS hash
  FROM orders WHERE id <= $1`
const COLUMNS = `SELECT array_agg(attname::text ORDER BY attnum) AS columns FROM pg_attribute
  WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped`
const AUDIT = 'SELECT migration, count(*)::int AS times FROM migration_audit GROUP BY migration ORDER BY migration'

const LAST_ID = 2 ** 53 - 1

try {
  const { values } = parseArgs({
    options: { home: { type: 'string' }, 'orders-up-to': { type: 'string' }, database: { type: 'string' } },
  })
  const upTo = Number(values['orders-up-to'] ?? LAST_ID)
  console.log(JSON.stringify(values.database ? await lookInto(values.database, upTo) : await look(values.home, upTo)))
} catch (error) {
  console.error(error.code?.startsWith('ERR_PARSE_ARGS') ? USAGE : error.message)
  process.exitCode = 1
}

async function look(homeOption, upTo) {
  const { acknowledged } = paths(homeOf(homeOption))
  const told = existsSync(acknowledged) ? readFileSync(acknowledged, 'utf8').split('\n').length - 1 : 0
  return withSession(databaseUrlFromEnvironment(), async (session) => ({
    release: await servingRelease(),
    acknowledged: told,
    ...(await ordersIn(session, upTo)),
    audit: (await session.query(AUDIT)).rows,
    putAside: (await session.query(PUT_ASIDE)).rows.map(({ name }) => name),
  }))
}

/** What was put aside lets nobody in until somebody who means to look opens it. */
async function lookInto(database, upTo) {
  const url = databaseUrlFromEnvironment()
  await withSession(url, (session) =>
    session.query(`ALTER DATABASE ${pg.escapeIdentifier(database)} ALLOW_CONNECTIONS true`),
  )
  const its = new URL(url)
  its.pathname = `/${encodeURIComponent(database)}`
  return withSession(its.href, (session) => ordersIn(session, upTo))
}

async function ordersIn(session, upTo) {
  const { rows } = await session.query(COLUMNS)
  return { columns: rows[0].columns, orders: (await session.query(ORDERS, [upTo])).rows[0] }
}

async function servingRelease() {
  const url = process.env.SHOP_URL ?? 'http://127.0.0.1:8080'
  try {
    return (await (await fetch(`${url}/version`, { signal: AbortSignal.timeout(5_000) })).json()).release
  } catch {
    return null
  }
}

async function withSession(url, work) {
  const session = await openSession(url, 'shop-inspect')
  try {
    return await work(session)
  } finally {
    await session.end()
  }
}
