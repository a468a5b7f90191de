import { readFile } from 'node:fs/promises'
import { connect, elsewhere } from './connect.js'
import type { Scene } from './scene.js'
import { type Snapshot, snapshotOf } from './snapshot.js'

/** What everything was like before a run, or is like now. */
export interface Baseline {
  at: string
  /** Of the database, without what people write to. */
  database: Snapshot
  /** Of each written table: the rows up to `upTo`, whatever is beyond. */
  rows: Record<string, { upTo: number; columns: string[]; hash: string }>
  ledger: string[]
  consumers: Record<string, string>
  /** The tag that runs, or `stopped`. */
  service: string
  bystander: Snapshot
  /** Process id and start of the bystander's session, and since when the server has run: a crash ends every session. */
  session: string
  server: string
}

/** Whether the database lets anybody in. */
export async function isOpen({ url }: Scene): Promise<boolean> {
  const client = await connect(elsewhere(url))
  const name = decodeURIComponent(new URL(url).pathname.slice(1))
  const { rows } = await client.query<{ open: boolean }>(
    'select datallowconn as open from pg_database where datname = $1',
    [name],
  )
  await client.end()
  return rows[0]?.open ?? false
}

/** Looks at everything, with a session in the database: not while a gate is closed. `before`: which rows to compare. */
export async function look(scene: Scene, before?: Baseline): Promise<Baseline> {
  const { url, pgDump, bystander, ledger } = scene
  const client = await connect(url)
  try {
    const { rows } = await client.query<{ version: string }>(
      `select ${ledger.version}::text as version from ${ledger.table} order by 1`,
    )
    const written: Baseline['rows'] = {}
    for (const { table, id } of scene.written) {
      const known = before?.rows[table]
      const upTo =
        known?.upTo ??
        Number((await client.query(`select coalesce(max(${id}), 0)::text as top from ${table}`)).rows[0]?.top)
      const columns = known?.columns ?? (await columnsOf(client, table))
      // A column that is gone is a difference by itself.
      const now = await columnsOf(client, table)
      const those = columns.filter((column) => now.includes(column)).map((column) => `"${column}"`)
      const { rows: hashed } = await client.query<{ hash: string }>(
        `select count(*) || ' ' || md5(coalesce(string_agg(hash, '' order by hash), '')) as hash
           from (select md5(row(${those.join()})::text) as hash from ${table} where ${id} <= $1) hashes`,
        [upTo],
      )
      written[table] = { upTo, columns, hash: `${hashed[0]?.hash} of ${those.join()}` }
    }
    return {
      at: new Date().toISOString(),
      database: withoutWritten(scene, await snapshotOf({ url, pgDump })),
      rows: written,
      ledger: rows.map(({ version }) => version),
      consumers: await consumersNow(scene),
      service: await serviceNow(scene),
      bystander: bystander ? await snapshotOf({ url: bystander.url, pgDump }) : {},
      session: await sessionOf(scene),
      server: (await client.query<{ at: string }>('select pg_postmaster_start_time()::text as at')).rows[0]?.at ?? '',
    }
  } finally {
    await client.end()
  }
}

async function columnsOf(client: Awaited<ReturnType<typeof connect>>, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`,
    [table],
  )
  return rows.map(({ name }) => name)
}

const withoutWritten = ({ written }: Scene, snapshot: Snapshot): Snapshot =>
  Object.fromEntries(
    Object.entries(snapshot).filter(([key]) =>
      written.every(({ table }) => key !== `rows of ${table}` && !key.startsWith(`sequence of ${table}_`)),
    ),
  )

export async function consumersNow({ consumers }: Scene): Promise<Record<string, string>> {
  const states = consumers.map(async ({ name, status }) => {
    // One that does not answer in time, or not what it should, tells nothing.
    const asked = fetch(status, { signal: AbortSignal.timeout(1_000) }).then((answered) => answered.json())
    const answer: unknown = await asked.catch(() => undefined)
    const state = answer && typeof answer === 'object' && 'state' in answer ? String(answer.state) : 'no state'
    return [name, state] as const
  })
  return Object.fromEntries(await Promise.all(states))
}

export async function serviceNow({ service }: Scene): Promise<string> {
  if (!service) return 'none'
  const read = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined)
  if ((await read(service.running)) === undefined) return 'stopped'
  return (await read(service.current))?.trim() ?? 'stopped'
}

async function sessionOf({ bystander }: Scene): Promise<string> {
  if (!bystander) return ''
  const client = await connect(bystander.url)
  try {
    const { rows } = await client.query<{ one: string }>(
      `select pid || ' since ' || backend_start as one from pg_stat_activity where application_name = $1 order by 1`,
      [bystander.application],
    )
    return rows.map(({ one }) => one).join()
  } finally {
    await client.end()
  }
}
