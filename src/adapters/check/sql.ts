import { type Client, type CustomTypesConfig, Query, type QueryArrayConfig } from 'pg'
import type { SqlCheck } from '../../domain/configuration-checks.js'
import { excerpt } from '../../domain/excerpt.js'
import { onDatabase } from './on-database.js'
import type { Check, CheckSetting } from './port.js'

/** OID of boolean, which the server prints as t and f. */
const BOOLEAN = 16

/** An assertion: the first column of the first row of one statement that only reads. Asked once. */
export function sql(configuration: SqlCheck, setting: CheckSetting): Check {
  const { name, timeout, expect } = configuration
  return onDatabase({ name, timeoutMs: timeout }, setting, async (session) =>
    judge(await firstValue(session, configuration.sql), expect, setting.secrets),
  )
}

type Answer = { row: false } | { row: true; value: string | null }

/**
 * In a transaction that has its snapshot already, so that no statement can make it writable, and by the extended protocol,
 * which takes one statement only: neither `commit; delete` nor a DO block that commits gets through.
 */
async function firstValue(session: Client, statement: string): Promise<Answer> {
  await session.query('begin transaction read only')
  await session.query('select pg_current_snapshot()')
  const answer = await first(session, statement)
  await session.query('rollback')
  return answer
}

/** Keeps the first row only: a statement may bring millions. */
function first(session: Client, text: string): Promise<Answer> {
  // A name makes it the extended protocol.
  const config: QueryArrayConfig = { text, name: 'check', rowMode: 'array', types: AS_PRINTED }
  return new Promise((resolve, reject) => {
    let answer: Answer = { row: false }
    const query = new Query<(string | null)[]>(config)
    query.on('row', (row) => {
      if (!answer.row) answer = { row: true, value: row[0] ?? null }
    })
    query.on('error', reject)
    query.on('end', () => resolve(answer))
    session.query(query)
  })
}

/** Every value is wanted as the server prints it, but for booleans. */
const AS_PRINTED: CustomTypesConfig = {
  getTypeParser: (oid: number) => (value: string) => (oid === BOOLEAN ? String(value === 't') : value),
}

function judge(answer: Answer, expected: SqlCheck['expect'], secrets: readonly string[]) {
  const wanted = expected === null ? 'null' : String(expected)
  if (!answer.row) return { ok: false, found: `no row, expected ${wanted}` }
  const found = answer.value === null ? 'null' : excerpt(answer.value, secrets) || 'an empty text'
  const ok = isEqual(answer.value, expected)
  return { ok, found: ok ? found : excerpt(`${found}, expected ${wanted}`, secrets) }
}

/** As text; a number also as a number, since the server prints a sum of money as 0.00. */
function isEqual(value: string | null, expected: SqlCheck['expect']): boolean {
  if (value === null || expected === null) return value === expected
  if (value === String(expected)) return true
  const isExact = typeof expected === 'number' && Math.abs(expected) <= Number.MAX_SAFE_INTEGER
  return isExact && value.trim() !== '' && Number(value) === expected
}
