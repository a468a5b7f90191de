import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createChecks } from '../../../src/adapters/check/index.js'
import type { Check } from '../../../src/adapters/check/port.js'
import { proveCheck } from '../../../src/adapters/check/prove.js'
import { parseTarget } from '../../../src/adapters/postgres/target.js'
import { SmokeCheck } from '../../../src/domain/configuration-checks.js'
import { freePort } from '../../support/http-server.js'
import { type PostgresServer, startPostgres } from '../../support/postgres-server.js'
import { serverBinaries } from '../../support/server-binaries.js'
import { startStandby } from '../../support/standby.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

/** A primary of its own, with a real standby that streams from it. */
let primary: PostgresServer
let standby: Awaited<ReturnType<typeof startStandby>>
const signal = new AbortController().signal

const url = (port: number): string => `postgres://postgres:x@127.0.0.1:${port}/postgres`
async function on(address: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: address })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

function check(configuration: object, port = primary.port): Check {
  const setting = {
    ...{ target: parseTarget(url(port)), applicationName: 'hg:00000000:1:smoke', directory: '/', secrets: [SECRET] },
  }
  const [made] = createChecks([SmokeCheck.parse(configuration)], setting)
  if (!made) throw new Error('no check was made')
  return made
}

beforeAll(async () => {
  primary = await startPostgres({ wal_sender_timeout: '5s' })
  standby = await startStandby(primary.port, 'eu')
  await on(url(primary.port), 'create table orders (id int)')
}, 120_000)
afterAll(async () => {
  await standby.stop()
  await primary.stop()
})

/** Seconds, as the primary tells it. */
async function lag(): Promise<number> {
  const [row] = await on(
    url(primary.port),
    `select case when replay_lsn = pg_current_wal_lsn() then 0 else extract(epoch from replay_lag) end::float8 as lag
     from pg_stat_replication where state = 'streaming'`,
  )
  return Number(row?.lag ?? Number.NaN)
}

/** Written on the primary and not replayed on the standby: its lag grows. */
async function fallBehind(): Promise<void> {
  await on(standby.url, 'select pg_wal_replay_pause()')
  await on(url(primary.port), 'insert into orders select generate_series(1, 1000)')
  while (!((await lag()) > 3));
}

async function catchUp(): Promise<void> {
  await on(standby.url, 'select pg_wal_replay_resume()')
  while ((await lag()) !== 0);
}

checkContract('replicas', async () => {
  let port = primary.port
  await catchUp()
  const made = (): Check => check({ replicaLag: '2s', within: '60s' }, port)
  return {
    check: { ...made(), run: (context, abort) => made().run(context, abort) },
    become: async (condition) => {
      if (condition === 'bad') await fallBehind()
      if (condition === 'gone') port = await freePort()
    },
    close: catchUp,
  }
})

describe('replicas', () => {
  it('are waited for until they have caught up', async () => {
    await fallBehind()
    const proof = proveCheck(check({ replicaLag: '2s', within: '60s' }), CONTEXT, {
      signal,
      onSample: () => void on(standby.url, 'select pg_wal_replay_resume()').catch(() => {}),
    })
    expect(await proof).toMatchObject({ ok: true, found: expect.stringContaining('eu streaming') })
  })

  it('are missed where fewer are connected than there must be', async () => {
    const { ok, found } = await check({ replicaLag: '1h', count: 2 }).run(CONTEXT, signal)
    expect(ok).toBe(false)
    expect(found).toContain('1 of 2 are connected')
  })

  it('are not taken for fine by a role that does not see them', async () => {
    await on(url(primary.port), 'create role nobody_special login')
    const target = { ...parseTarget(url(primary.port)), user: 'nobody_special' }
    const [made] = createChecks([SmokeCheck.parse({ replicaLag: '1h' })], {
      ...{ target, applicationName: 'hg:00000000:1:smoke', directory: '/', secrets: [] },
    })
    expect(await made?.run(CONTEXT, signal)).toMatchObject({
      ok: false,
      found: expect.stringContaining('grant pg_read_all_stats'),
    })
  })
})

describe('readers of slots', () => {
  const reader = async (slot: string) => {
    const program = join(await serverBinaries(), 'pg_recvlogical')
    const where = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres', '-d', 'postgres']
    const how = ['--slot', slot, '--start', '-f', '/dev/null', '--no-loop', '--status-interval', '1']
    const child = execFile(program, [...where, ...how, '-o', 'proto_version=1', '-o', 'publication_names=all_of_it'])
    child.on('error', () => {})
    return child
  }

  it('are there and get on, or are told of', async () => {
    await on(url(primary.port), 'create publication all_of_it for all tables')
    await on(url(primary.port), "select pg_create_logical_replication_slot('cdc', 'pgoutput')")
    const moving = () => check({ slots: ['cdc'], within: '60s' })
    expect(await moving().run(CONTEXT, signal)).toMatchObject({ ok: false, found: 'cdc has no reader' })
    const child = await reader('cdc')
    try {
      await on(url(primary.port), 'insert into orders values (7)')
      expect(await proveCheck(moving(), CONTEXT, { signal })).toMatchObject({ ok: true, found: 'cdc moves' })
    } finally {
      child.kill()
    }
    expect(await check({ slots: ['missing'] }).run(CONTEXT, signal)).toMatchObject({
      ok: false,
      found: 'missing is not there',
    })
  })
})
