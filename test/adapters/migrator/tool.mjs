// A migration tool of its own: migrations.json in the working folder, a ledger, one transaction for each migration that is not without.
import { readFileSync } from 'node:fs'
import pg from 'pg'

const [verb, target] = process.argv.slice(2)
const migrations = JSON.parse(readFileSync('migrations.json', 'utf8'))
const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
await client.connect()

async function ledger() {
  const { rows } = await client.query(`select to_regclass('public.tool_ledger') is not null as found`)
  return rows[0].found ? (await client.query('select version from tool_ledger')).rows.map((row) => row.version) : []
}

async function run(transactional, statements) {
  if (transactional) await client.query('begin')
  await client.query('create table if not exists tool_ledger (version text)')
  for (const statement of statements) await client.query(statement)
  if (transactional) await client.query('commit')
}

const applied = await ledger()
const index = migrations.findIndex(({ version }) => version === target)
try {
  if (verb === 'status') {
    const told = migrations.map(({ version, up, phase, transactional }) => ({
      version,
      state: applied.includes(version) ? 'applied' : 'pending',
      phase,
      transactional,
      sql: up.join(';'),
    }))
    console.log(JSON.stringify({ migrations: told }, undefined, 1))
  } else if (verb === 'up') {
    for (const { version, up, transactional = true } of migrations.slice(0, index + 1))
      if (!applied.includes(version)) await run(transactional, [...up, `insert into tool_ledger values ('${version}')`])
  } else {
    for (const { version, down, transactional = true } of migrations.slice(index + 1).reverse())
      if (applied.includes(version))
        await run(transactional, [down, `delete from tool_ledger where version = '${version}'`])
  }
} finally {
  await client.end()
}
