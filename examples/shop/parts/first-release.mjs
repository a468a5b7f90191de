import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { openSession } from './database.mjs'
import { migrationsOf } from './releases.mjs'

const INVALID_CATALOG_NAME = '3D000'
/** As Headgate's own migrator makes it: to Headgate these migrations are applied. */
const LEDGER = `CREATE TABLE IF NOT EXISTS headgate_migrations (
  version text PRIMARY KEY,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  dirty boolean NOT NULL DEFAULT false,
  done integer NOT NULL DEFAULT 0,
  tried integer NOT NULL DEFAULT 0
)`
const RECORD = 'INSERT INTO headgate_migrations (version, name, checksum) VALUES ($1, $2, $3)'

/** Makes the database where it is missing, and in it the schema of release 1. Twice is once. */
export async function migrateFirstRelease(url) {
  const session = await openOrCreate(url)
  try {
    await session.query('BEGIN')
    await session.query(LEDGER)
    const { rows } = await session.query('SELECT version FROM headgate_migrations')
    const applied = rows.map(({ version }) => version)
    const pending = migrationsOf('1').filter(({ version }) => !applied.includes(version))
    for (const migration of pending) await apply(session, migration)
    await session.query('COMMIT')
    return pending.map(({ version }) => version)
  } finally {
    await session.end()
  }
}

async function apply(session, { version, path }) {
  const bytes = readFileSync(path)
  await session.query(bytes.toString('utf8'))
  const name = version.replace(/^\d+_/, '').replaceAll('_', ' ')
  await session.query(RECORD, [version, name, createHash('sha256').update(bytes).digest('hex')])
}

async function openOrCreate(url) {
  try {
    return await openSession(url, 'shop-setup')
  } catch (error) {
    if (error.code !== INVALID_CATALOG_NAME) throw error
  }
  const server = new URL(url)
  const name = decodeURIComponent(server.pathname.slice(1))
  server.pathname = '/postgres'
  const session = await openSession(server.href, 'shop-setup')
  try {
    await session.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
  } finally {
    await session.end()
  }
  return openSession(url, 'shop-setup')
}
