import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { openSession } from '../../src/adapters/postgres/session.js'
import { ALEMBIC, ALEMBIC_LEDGER, FIRST, OFFLINE_ENV_PY, writeAlembic } from '../support/alembic-release.js'
import { HAS_SQLX, SQLX, SQLX_LEDGER } from '../support/sqlx-release.js'
import { World } from '../support/world.js'

const NOTE = 'alter table orders add column if not exists note text'
const OPEN = { quiesce: 'none', locks: { budget: '5m' } }

let world: World
let report: Client
afterEach(async () => {
  await report.end().catch(() => {})
  const { left } = await world.leftOvers().finally(() => world.end())
  expect(left).toEqual([])
})

/** Somebody reads orders in a transaction that stays open; the gate is open too, and orders are written all the time. */
async function longReport(): Promise<void> {
  report = await openSession(world.database.target, { applicationName: 'long report' })
  await report.query('begin; select count(*) from orders')
}

/** One that began after the migration waited for the table comes back before that has it. */
async function readersPass(times: number): Promise<void> {
  const waits = `select from pg_locks l join pg_class c on c.oid = l.relation
    where not l.granted and c.relname = 'orders' and l.mode = 'AccessExclusiveLock'`
  const reader = await openSession(world.database.target, { applicationName: 'reader' })
  for (let passed = 0; passed < times; ) {
    const { rowCount } = await reader.query(waits)
    if (rowCount === 0) await pause(5)
    else {
      await reader.query('select count(*) from orders')
      passed++
    }
  }
  await reader.end()
}

async function untilTried(): Promise<void> {
  const tried = `select from {s}.steps where step = 'migrate' and state <> 'done'`
  while ((await world.journal(tried).catch(() => [])).length === 0) await pause(20)
}

async function succeeds(): Promise<void> {
  await report.query('commit')
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.journal('select name from {s}.runs')).toHaveLength(1)
  await world.quiet()
  expect(await world.lost()).toEqual([])
}

describe('alembic, in front of an open gate that others write through', () => {
  const alembicWorld = async (sql: string[], isOutside: boolean): Promise<void> => {
    const migrator = { kind: 'alembic', config: 'releases/{tag}/alembic.ini', command: [ALEMBIC] }
    world = await World.create({ migrations: {}, schema: ALEMBIC_LEDGER, configuration: { migrator, ...OPEN } })
    await writeAlembic(join(world.folder, 'releases', '1'), [FIRST])
    const second = { revision: 'b2', after: 'a1', sql, isOutside }
    await writeAlembic(join(world.folder, 'releases', '2'), [FIRST, second], OFFLINE_ENV_PY)
    await world.startWorker()
  }

  test('tries again for a lock until it has it', async () => {
    await alembicWorld([NOTE], false)
    await longReport()
    await world.start()
    await untilTried()
    await readersPass(3)
    await succeeds()
  })

  test('that waits outside of a transaction without a lock timeout gives way to those who wait behind it', async () => {
    await alembicWorld([NOTE], true)
    await longReport()
    await world.start()
    await untilTried()
    await readersPass(3)
    await succeeds()
  })

  test('is not called again where nobody can tell what a try outside of a transaction has left', async () => {
    await alembicWorld(["update orders set item = item || '!'", NOTE], true)
    await longReport()
    await world.start()
    const ending = await world.ending()
    expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'needs-operator', exit: 6 })
    expect(ending.reason).toContain('long report')
    await report.query('commit')
  })
})

describe.runIf(HAS_SQLX)('sqlx, in front of an open gate that others write through', () => {
  test('tries again for a lock of its second migration, the first being there', async () => {
    const migrations = { '0002_more.sql': 'create table more (id int)', '0003_note.sql': NOTE }
    const configuration = { migrator: { kind: 'sqlx', dir: 'releases/{tag}', command: [SQLX] }, ...OPEN }
    world = await World.create({ migrations, schema: SQLX_LEDGER, configuration })
    await world.startWorker()
    await longReport()
    await world.start()
    await untilTried()
    await readersPass(3)
    await succeeds()
  })
})
