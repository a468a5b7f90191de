import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sessionsNamed } from '../../../src/adapters/postgres/activity.js'
import { startNamingProxy } from '../../../src/adapters/postgres/naming-proxy.js'
import type { DatabaseProxy } from '../../../src/adapters/postgres/proxy.js'
import { type Target, targetUrl, withDatabase } from '../../../src/adapters/postgres/target.js'
import { postgresProgram } from '../../support/program.js'
import { createDatabase, withControl } from '../../support/test-database.js'

const SESSION = { applicationName: 'hg:shop:7', options: { lock_timeout: '100', statement_timeout: '5000' } }
const SETTINGS = `select current_setting('application_name') as name, current_setting('lock_timeout') as lock,
  current_setting('statement_timeout') as statement, current_setting('idle_in_transaction_session_timeout') as idle`

let app: Awaited<ReturnType<typeof createDatabase>>
let proxy: DatabaseProxy
beforeEach(async () => {
  app = await createDatabase()
  proxy = await startNamingProxy(app.target, SESSION)
})
afterEach(() => proxy.close())

async function asTool<T>(work: (session: Client) => Promise<T>, options: object = {}, to = proxy.target): Promise<T> {
  const session = new Client({ connectionString: targetUrl(to), ...options })
  await session.connect()
  return work(session).finally(() => session.end())
}

describe('a session by way of the proxy', () => {
  test('has the name and the limits that it was not given by its driver', async () => {
    const settings = await asTool(async (session) => (await session.query(SETTINGS)).rows[0])
    expect(settings).toEqual({ name: 'hg:shop:7', lock: '100ms', statement: '5s', idle: '0' })
  })

  test('has them whatever it asks for in the beginning, and keeps what else it asks for', async () => {
    const asked = {
      ...{ application_name: 'mine', lock_timeout: 0, idle_in_transaction_session_timeout: 7_000 },
      options: '-c statement_timeout=0 -c application_name=mine',
    }
    const settings = await asTool(async (session) => (await session.query(SETTINGS)).rows[0], asked)
    expect(settings).toEqual({ name: 'hg:shop:7', lock: '100ms', statement: '5s', idle: '7s' })
  })

  test('has them again once it resets what it set', async () => {
    const settings = await asTool(async (session) => {
      await session.query('set lock_timeout = 0')
      await session.query('reset all')
      return (await session.query(SETTINGS)).rows[0]
    })
    expect(settings).toMatchObject({ name: 'hg:shop:7', lock: '100ms' })
  })

  test('is cut off when it gives itself another name: nobody would find it', async () => {
    const session = new Client({ connectionString: targetUrl(proxy.target) })
    session.on('error', () => {})
    await session.connect()
    await expect(session.query(`set application_name = 'PostgreSQL JDBC Driver'`)).rejects.toThrow(
      'the session gave itself another application_name',
    )
    await expect
      .poll(
        async () =>
          (await withControl((control) => sessionsNamed(control, app.target.database, ['PostgreSQL JDBC Driver'])))
            .length,
      )
      .toBe(0)
  })

  test('is told why the server could not be reached', async () => {
    const other = await startNamingProxy({ ...app.target, port: 4 }, SESSION)
    await expect(asTool((session) => session.query('select 1'), {}, other.target)).rejects.toThrow('ECONNREFUSED')
    await other.close()
    const strict = await startNamingProxy({ ...app.target, sslmode: 'require' }, SESSION)
    await expect(asTool((session) => session.query('select 1'), {}, strict.target)).rejects.toThrow(
      'does not support SSL',
    )
    await strict.close()
  })

  test('to a server that stays silent ends with the proxy', async () => {
    const accepted: Socket[] = []
    const silent = createServer((socket) => accepted.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const other = await startNamingProxy({ ...app.target, port: portOf(silent), sslmode: 'require' }, SESSION)
    const asking = asTool((session) => session.query('select 1'), {}, other.target)
    asking.catch(() => {})
    await expect.poll(() => accepted.length).toBe(1)
    const left = new Promise((resolve) => accepted[0]?.once('close', resolve).resume())
    await other.close()
    await left
    await expect(asking).rejects.toThrow()
    silent.close()
  })

  test('loses nothing that is sent before the server is there', async () => {
    const { host, port } = proxy.target
    const words = ['user', app.target.user, 'database', app.target.database, '', ''].join('\0')
    const first = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 3, 0, 0]), Buffer.from(words)])
    first.writeInt32BE(first.length)
    const asked = Buffer.from(`Q\0\0\0\0select 'all of it' as said\0`)
    asked.writeInt32BE(asked.length - 1, 1)
    const socket = connect(port, host)
    socket.write(first)
    setTimeout(() => socket.write(asked), 1)
    let said = ''
    socket.on('data', (bytes) => {
      said += bytes.toString('latin1')
    })
    await expect.poll(() => said).toContain('all of it')
    socket.destroy()
  })

  test('carries what is large both ways', async () => {
    const text = 'ä'.repeat(4_000_000)
    const { rows } = await asTool((session) => session.query<{ back: string }>('select $1::text as back', [text]))
    expect(rows[0]?.back === text).toBe(true)
    const copied = await postgresProgram(
      'psql',
      ['-X', '-q', '-c', 'copy (select generate_series(1, 100000)) to stdout'],
      proxy.target,
    )
    expect(copied.trim().split('\n')).toHaveLength(100_000)
  })

  test('can be cancelled', async () => {
    await asTool(async (session) => {
      const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
      const sleeping = session.query('select pg_sleep(60)')
      sleeping.catch(() => {})
      await asTool((other) => other.query('select pg_cancel_backend($1)', [rows[0]?.pid]))
      await expect(sleeping).rejects.toThrow('canceling statement')
    })
  })

  test('is gone at the server once the proxy is, and once its client is', async () => {
    const session = new Client({ connectionString: targetUrl(proxy.target) })
    session.on('error', () => {})
    await session.connect()
    const there = async (): Promise<number> =>
      (await withControl((control) => sessionsNamed(control, app.target.database, ['hg:shop:7']))).length
    expect(await there()).toBe(1)
    await proxy.close()
    await expect.poll(there).toBe(0)
    proxy = await startNamingProxy(app.target, SESSION)
    await asTool((other) => other.query('select 1'))
    await expect.poll(there).toBe(0)
  })

  test('is told by the server what is wrong with it', async () => {
    const wrong = asTool(
      (session) => session.query('select 1'),
      {},
      {
        ...proxy.target,
        user: 'nobody_of_this_name',
      },
    )
    await expect(wrong).rejects.toThrow('nobody_of_this_name')
  })
})

describe('the way is to the target alone', () => {
  test('who asks for another database is sent away', async () => {
    const elsewhere = asTool((session) => session.query('select 1'), {}, withDatabase(proxy.target, 'postgres'))
    await expect(elsewhere).rejects.toThrow(`this is the way to database ${app.target.database} alone`)
  })

  test.each([
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: here\r\n\r\n')],
    ['too short a message', Buffer.alloc(8)],
  ])('%s is hung up on', async (_, bytes) => {
    const socket = connect(proxy.target.port, '127.0.0.1')
    socket.write(bytes)
    await new Promise((resolve) =>
      socket
        .once('close', resolve)
        .on('error', () => {})
        .resume(),
    )
    expect(await asTool(async (session) => (await session.query('select 1 as one')).rows)).toEqual([{ one: 1 }])
  })

  test('what the server says that is not the protocol ends the session', async () => {
    const odd = createServer((socket) => socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\n')))
    await new Promise<void>((resolve) => odd.listen(0, '127.0.0.1', resolve))
    const other = await startNamingProxy({ ...app.target, port: portOf(odd), sslmode: 'disable' }, SESSION)
    await expect(asTool((session) => session.query('select 1'), {}, other.target)).rejects.toThrow()
    await other.close()
    odd.close()
  })
})

describe("to a server's socket", () => {
  let folder: string
  let server: Server
  let there: DatabaseProxy
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hg-socket-'))
    server = createServer((client) => {
      const onward = connect(app.target.port, app.target.host)
      client.pipe(onward).pipe(client)
      for (const one of [client, onward]) one.on('error', () => {})
    })
    await new Promise<void>((resolve) => server.listen(join(folder, '.s.PGSQL.5432'), resolve))
    const bySocket: Target = { ...app.target, host: folder, port: 5432, sslmode: 'disable' }
    there = await startNamingProxy(bySocket, SESSION)
  })
  afterEach(async () => {
    await there.close()
    server.close()
    await rm(folder, { recursive: true })
  })

  test.runIf(process.platform === 'linux')('the user of headgate comes through', async () => {
    expect(await asTool(async (session) => (await session.query('select 1 as one')).rows, {}, there.target)).toEqual([
      { one: 1 },
    ])
  })

  test.runIf(process.getuid?.() === 0)(
    'another user of the machine is sent away: he would be headgate there',
    async () => {
      const knock = `const socket = require('node:net').connect(${there.target.port}, '127.0.0.1')
      const first = Buffer.from('____\\0\\x03\\0\\0user\\0${app.target.user}\\0database\\0${app.target.database}\\0\\0')
      first.writeInt32BE(first.length); socket.write(first); socket.on('data', (bytes) => process.stdout.write(bytes))`
      const said = await new Promise<string>((resolve) =>
        execFile(process.execPath, ['-e', knock], { uid: 65_534, cwd: '/' }, (_, stdout) => resolve(stdout)),
      )
      expect(said).toContain('for the user of headgate alone')
    },
  )
})

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
