import { isForeignSchema } from './database.mjs'

const MIGRATIONS_KEPT_MS = 60_000
const HEARTBEAT_LIMIT_SECONDS = 10
const LEDGER = 'SELECT version FROM headgate_migrations WHERE NOT dirty ORDER BY version'
const HEARTBEAT = `SELECT heartbeat_at, extract(epoch FROM now() - heartbeat_at)::float8 AS age
  FROM consumer_offsets ORDER BY heartbeat_at DESC LIMIT 1`

/**
 * The body of `/readyz`, in sub-checks. That all migrations are in is believed for up to 60 s; that some are missing is
 * looked at anew each time.
 */
export function readinessOf(pool, release, orders) {
  const checks = {
    db: () => pool.query('SELECT 1').then(() => ({ ok: true })),
    migrations: keptWhilePositive(() => migrationsCheck(pool, release, orders)),
    consumer: () => consumerCheck(pool),
  }
  return async () => {
    const answers = await Promise.all(Object.entries(checks).map(([name, check]) => timed(name, check)))
    return { ok: answers.every(({ ok }) => ok), checks: answers }
  }
}

async function timed(name, check) {
  const began = performance.now()
  const answer = await check().catch((error) => ({ ok: false, detail: { message: error.message } }))
  return { name, ok: answer.ok, ms: Math.round(performance.now() - began), detail: answer.detail ?? {} }
}

function keptWhilePositive(check) {
  let kept
  return async () => {
    if (kept && performance.now() < kept.until) return kept.answer
    const answer = await check()
    kept = answer.ok ? { answer, until: performance.now() + MIGRATIONS_KEPT_MS } : undefined
    return answer
  }
}

/** Pending migrations make it negative; those of a later release do not, while our code runs on what they left. */
async function migrationsCheck(pool, release, orders) {
  const applied = await appliedVersions(pool)
  const pending = release.migrations.filter((version) => !applied.includes(version))
  const problem = await orders.check().catch((error) => error.message)
  const detail = { current_version: applied.at(-1) ?? null, expected_version: release.migrations.at(-1) }
  const message = pending.length > 0 ? `pending: ${pending.join(', ')}` : (problem ?? 'migrations in sync')
  return { ok: pending.length === 0 && problem === undefined, detail: { message, ...detail } }
}

async function appliedVersions(pool) {
  try {
    const { rows } = await pool.query(LEDGER)
    return rows.map(({ version }) => version)
  } catch (error) {
    if (isForeignSchema(error)) return []
    throw error
  }
}

async function consumerCheck(pool) {
  const { rows } = await pool.query(HEARTBEAT)
  const age = rows[0]?.age ?? Number.POSITIVE_INFINITY
  const detail = {
    last_heartbeat: rows[0]?.heartbeat_at.toISOString() ?? null,
    age_seconds: Number.isFinite(age) ? Math.round(age * 10) / 10 : null,
    threshold_seconds: HEARTBEAT_LIMIT_SECONDS,
  }
  return { ok: age <= HEARTBEAT_LIMIT_SECONDS, detail }
}
