import { readLines } from './topic.mjs'

const BATCH = 50
const LOCK = 'SELECT position FROM consumer_offsets WHERE topic = $1 FOR UPDATE'
const BEGIN_TOPIC = 'INSERT INTO consumer_offsets (topic) VALUES ($1) ON CONFLICT DO NOTHING'
const WRITE = `INSERT INTO stock_movements (message_id, topic, sku, delta)
  SELECT id, $1, sku, delta FROM jsonb_to_recordset($2) AS message (id text, sku text, delta integer)`
const COMMIT_OFFSET = `UPDATE consumer_offsets
  SET position = $2, messages = messages + $3, heartbeat_at = now() WHERE topic = $1`

/**
 * Writes the next messages and the offset behind them in one transaction: whatever dies in between, a message has its
 * effect once. The offset is the database's alone, so a database put back to an earlier state takes it along.
 */
export async function handleBatch(session, topic, file, taken) {
  await session.query('BEGIN')
  try {
    await session.query(BEGIN_TOPIC, [topic])
    const { rows } = await session.query(LOCK, [topic])
    const { lines, next } = await readLines(file, Number(rows[0].position), BATCH)
    taken(lines.length)
    const messages = lines.flatMap(messageIn)
    if (messages.length > 0) await session.query(WRITE, [topic, JSON.stringify(messages)])
    await session.query(COMMIT_OFFSET, [topic, next, messages.length])
    await session.query('COMMIT')
    return { handled: lines.length, position: next }
  } catch (error) {
    await session.query('ROLLBACK').catch(() => {})
    throw error
  }
}

function messageIn(line) {
  try {
    const { id, sku, delta } = JSON.parse(line)
    if (typeof id === 'string' && typeof sku === 'string' && Number.isInteger(delta)) return [{ id, sku, delta }]
  } catch {}
  console.error(`passed over what is no stock movement: ${line.slice(0, 200)}`)
  return []
}
