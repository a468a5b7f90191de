import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import {
  startPostgres,
  type PostgresServer,
  type PostgresServerOptions,
} from '../../../src/adapters/process/postgres-server.js'
import { cacheFolder, findPostgres } from '../../../src/adapters/process/provision.js'
import { knownFailure } from '../../../src/domain/failures.js'

let servers: PostgresServer[] = []
let folders: string[] = []

afterEach(async () => {
  for (const server of servers) await server.stop('immediate')
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
  servers = []
  folders = []
})

async function start(options: Partial<PostgresServerOptions> = {}): Promise<PostgresServer> {
  const binaries = await findPostgres(cacheFolder(), () => {})
  const server = await startPostgres({ binaries, ...options })
  servers.push(server)
  return server
}

async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'headgate-test-'))
  folders.push(folder)
  return folder
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat()
  } finally {
    await client.end()
  }
}

test('a server answers under its url, as a superuser who had to give a password', async () => {
  const server = await start()
  const [name, isSuper] = await query(
    server.url('postgres'),
    'select current_user, usesuper from pg_user where usename = current_user',
  )
  expect([name, isSuper]).toEqual(['postgres', true])
  const wrong = new URL(server.url('postgres'))
  wrong.password = 'guess'
  await expect(query(wrong.href, 'select 1')).rejects.toThrow(/password authentication failed/)
})

test('it answers on a unix socket too, and asks for the password there', async () => {
  const { directory, port, user, password } = await start()
  const client = new pg.Client({ host: directory, port, user, password, database: 'postgres' })
  await client.connect()
  await client.end()
  const stranger = new pg.Client({ host: directory, port, user, password: 'guess', database: 'postgres' })
  await expect(stranger.connect()).rejects.toThrow(/password authentication failed/)
})

test('settings are those asked for, and durability is not given up unasked', async () => {
  const server = await start({ settings: { max_connections: '17' } })
  expect(await query(server.url('postgres'), 'show max_connections')).toEqual(['17'])
  expect(await query(server.url('postgres'), 'show fsync')).toEqual(['on'])
  expect(await query(server.url('postgres'), 'show listen_addresses')).toEqual(['127.0.0.1'])
})

test('what was committed survives a kill amid an open session, at the same url', async () => {
  const server = await start()
  const { pid } = server
  await query(server.url('postgres'), 'create table kept as select 41 + 1 as answer')
  const busy = query(server.url('postgres'), 'select pg_sleep(60)').catch((error: unknown) => error)

  await server.kill()
  await busy
  await server.restart()

  expect(server.pid).not.toBe(pid)
  expect(await query(server.url('postgres'), 'select answer from kept')).toEqual([42])
})

test('a server with a folder of its own finds its data and its password again', async () => {
  const directory = await ownFolder()
  const first = await start({ directory })
  await query(first.url('postgres'), 'create database shop')
  await first.stop()

  const second = await start({ directory })
  expect(second.password).toBe(first.password)
  expect(await query(second.url('shop'), 'select current_database()')).toEqual(['shop'])
})

test('a stopped server takes its temporary folder with it, and may be stopped again', async () => {
  const server = await start()
  await server.stop()
  await server.stop()
  expect(() => process.kill(server.pid, 0)).toThrow(/ESRCH/)
  await expect(access(server.directory)).rejects.toThrow(/ENOENT/)
})

test('two servers run beside each other', async () => {
  const [one, other] = await Promise.all([start(), start()])
  expect(one.port).not.toBe(other.port)
  expect(one.password).not.toBe(other.password)
})

test('a setting the server refuses is an error with what the server said', async () => {
  const error = await start({ settings: { no_such_setting: 'x' } }).catch((thrown: unknown) => thrown)
  expect(knownFailure(error)?.code).toBe('DatabaseUnreachable')
  expect(knownFailure(error)?.detail.evidence).toContain('no_such_setting')
})

test('programs that do not run are an error that names them', async () => {
  const directory = await ownFolder()
  const error = await start({ binaries: { directory, version: '15.0' } }).catch((thrown: unknown) => thrown)
  expect(knownFailure(error)?.code).toBe('ToolMissing')
  expect(knownFailure(error)?.message).toContain(join(directory, 'postgres'))
})
