import { UNDEFINED_COLUMN } from './database.mjs'

const COLUMNS = `SELECT attname FROM pg_attribute
  WHERE attrelid = to_regclass('orders') AND attnum > 0 AND NOT attisdropped`
const skuOf = (item) => item.toLowerCase().replaceAll(' ', '-')

/** What stands in the columns that not every schema has. */
const FILLED = { item: ({ item }) => item, sku: ({ item }) => skuOf(item), channel: () => 'web' }

/** Orders as one release keeps them, on whichever of its schemas is in place. */
export function ordersOf(pool, release) {
  let present

  const withColumns = async (work) => {
    present ??= await presentColumns(pool, release)
    try {
      return await work(present)
    } catch (error) {
      present = undefined
      if (error.code !== UNDEFINED_COLUMN) throw error
    }
    // A migration took a column away since we looked.
    present = await presentColumns(pool, release)
    return work(present)
  }

  return {
    /** Answers once the order is committed. The same key again answers the order it made, whatever became of that answer. */
    place: (order) =>
      withColumns(async (columns) => {
        const made = await insert(pool, columns, order)
        if (made) return { created: true, order: made }
        const [existing] = await select(pool, columns, 'idempotency_key', order.idempotencyKey)
        return { created: false, order: existing }
      }),
    withCorrelation: (id) => withColumns((columns) => select(pool, columns, 'correlation_id', id)),
    /** Throws unless orders can be written in a form this release knows. */
    async check() {
      await presentColumns(pool, release)
    },
  }
}

/** The columns of this release that the table has now. One that would leave no trace of what was ordered is refused. */
async function presentColumns(pool, release) {
  const { rows } = await pool.query(COLUMNS)
  const names = rows.map(({ attname }) => attname)
  const columns = release.writes.filter((name) => names.includes(name))
  if (columns.includes('item') || columns.includes('sku')) return columns
  throw Object.assign(new Error(`release ${release.tag} does not run on this schema`), { code: UNDEFINED_COLUMN })
}

async function insert(pool, columns, order) {
  const values = {
    customer: order.customer,
    quantity: order.quantity,
    idempotency_key: order.idempotencyKey,
    correlation_id: order.correlationId,
    ...Object.fromEntries(columns.map((name) => [name, FILLED[name](order)])),
  }
  const names = Object.keys(values)
  const { rows } = await pool.query(
    `INSERT INTO orders (${names.join(', ')}) VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')})
     ON CONFLICT (idempotency_key) DO NOTHING RETURNING ${answered(columns)}`,
    Object.values(values),
  )
  return rows[0]
}

async function select(pool, columns, by, value) {
  const { rows } = await pool.query(`SELECT ${answered(columns)} FROM orders WHERE ${by} = $1 ORDER BY id`, [value])
  return rows
}

const answered = (columns) =>
  `id::int, customer, quantity, idempotency_key AS key, correlation_id AS "correlationId", ${columns.join(', ')}`
