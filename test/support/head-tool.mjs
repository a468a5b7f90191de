// A migration tool that only knows head: migrations.json beside it, a ledger, one transaction for each migration.
import { readFileSync } from 'node:fs'
import pg from 'pg'

const [verb, file] = process.argv.slice(2)
const migrations = JSON.parse(readFileSync(file, 'utf8'))
const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
await client.connect()
try {
  const { rows } = await client.query('select version from tool_ledger')
  const applied = new Set(rows.map(({ version }) => version))
  if (verb === 'status') {
    const told = migrations.map(({ version, sql, phase }) => ({
      ...{ version, sql, phase },
      state: applied.has(version) ? 'applied' : 'pending',
    }))
    console.log(JSON.stringify({ migrations: told }))
  } else {
    for (const { version, sql } of migrations.filter((one) => !applied.has(one.version)))
      await client.query(`begin; ${sql}; insert into tool_ledger values ('${version}'); commit`)
  }
} finally {
  await client.end()
}
