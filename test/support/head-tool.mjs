// A migration tool that only knows head: migrations.json beside it, a ledger, one transaction for each migration that does not say otherwise.
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
    const told = migrations.map(({ version, sql, phase, transactional }) => ({
      ...{ version, sql, phase, transactional },
      state: applied.has(version) ? 'applied' : 'pending',
    }))
    console.log(JSON.stringify({ migrations: told }))
  } else {
    for (const { version, sql, transactional } of migrations.filter((one) => !applied.has(one.version))) {
      const record = `insert into tool_ledger values ('${version}')`
      if (transactional === false) await client.query(sql)
      await client.query(transactional === false ? record : `begin; ${sql}; ${record}; commit`)
    }
  }
} finally {
  await client.end()
}
