import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import {
  openSession,
  quoteIdentifier,
  quoteLiteral,
  whileAllowed,
  withSession,
} from '../../../src/adapters/postgres/session.js'
import { libpqEnvironment } from '../../../src/adapters/postgres/target.js'
import { failedWith, messageOf } from '../../../src/domain/failures.js'
import { postgresProgram } from '../../support/program.js'
import { createDatabase, serverTarget, withControl } from '../../support/test-database.js'

const show = (name: string): string => `select current_setting('${name}') as value`
const failing = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

test.each([
  ['application_name', 'hg:00000000:7:test'],
  ['client_connection_check_interval', '1s'],
  ['lock_timeout', '123ms'],
  ['statement_timeout', '45s'],
  ['idle_in_transaction_session_timeout', '1min'],
  ['default_transaction_read_only', 'on'],
  ['TimeZone', 'UTC'],
])('a session has its own %s, whatever the database and the role say', async (name, value) => {
  const app = await createDatabase()
  await withControl((control) =>
    control.query(`alter database ${app.name} set ${name} = default; alter database ${app.name} set lock_timeout = '9s';
      alter role postgres in database ${app.name} set statement_timeout = '1ms'; alter database ${app.name} set timezone = 'Asia/Tokyo'`),
  )
  const options = {
    applicationName: 'hg:00000000:7:test',
    lockTimeoutMs: 123,
    statementTimeoutMs: 45_000,
    readOnly: true,
  }
  await withSession(app.target, options, async (session) => {
    expect((await session.query<{ value: string }>(show(name))).rows[0]?.value).toBe(value)
  })
})

test('a session that may write writes where the database is frozen as read only', async () => {
  const app = await createDatabase()
  await withControl((control) => control.query(`alter database ${app.name} set default_transaction_read_only = on`))
  await withSession(app.target, { applicationName: 'test' }, (session) => session.query('create table t ()'))
})

test('the death of an idle session does not end the process; the next query reports it', async () => {
  const session = await openSession(serverTarget(), { applicationName: 'idle' })
  const ended = new Promise((resolve) => session.once('end', resolve))
  await withControl((control) =>
    control.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'idle'`),
  )
  await ended
  expect(await failing(session.query('select 1'))).toBeInstanceOf(Error)
})

test('an aborted signal cuts the connection and ends the statement at the server', async () => {
  const controller = new AbortController()
  const session = await openSession(serverTarget(), { applicationName: 'to be cut' })
  const work = failing(whileAllowed(session, controller.signal, () => session.query('select pg_sleep(60)')))
  controller.abort(new Error('lost'))
  expect(await work).toEqual(new Error('lost'))
  await withControl((control) =>
    expect
      .poll(
        async () => (await control.query(`select from pg_stat_activity where application_name = 'to be cut'`)).rowCount,
        { timeout: 10_000 },
      )
      .toBe(0),
  )
})

test('a server that is not there, is silent, or has no such database is unreachable, with host, database, user and reason', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const address = silent.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const secret = { ...serverTarget('nowhere'), password: 'hunter2' }
  for (const [target, reason] of [
    [{ ...secret, port: 1 }, 'ECONNREFUSED'],
    [{ ...secret, port }, 'timeout'],
    [secret, '3D000'],
  ] as const) {
    const error = await failing(openSession(target, { applicationName: 'test' }))
    expect(failedWith(error, 'DatabaseUnreachable')).toBe(true)
    expect(messageOf(error)).toContain(`127.0.0.1:${target.port}/nowhere as postgres`)
    expect(messageOf(error)).toContain(reason)
    expect(messageOf(error)).not.toContain('hunter2')
  }
  silent.close()
})

test('a login that is refused, and a right to connect that is missing, are told apart', async () => {
  const app = await createDatabase()
  await withControl((control) =>
    control.query(`create role stranger_${app.name} login; revoke connect on database ${app.name} from public`),
  )
  const errorOf = (user: string): Promise<unknown> =>
    failing(openSession({ ...app.target, user }, { applicationName: 'test' }))
  expect(failedWith(await errorOf('nobody at all'), 'LoginRefused')).toBe(true)
  expect(failedWith(await errorOf(`stranger_${app.name}`), 'RightsMissing')).toBe(true)
})

test('quoted names and texts come back as they were', async () => {
  const hostile = `o'hara "x" \\ ; :new $1 $$`
  const app = await createDatabase(`q ${hostile}`)
  await withSession(app.target, { applicationName: 'test' }, async (session) => {
    const { rows } = await session.query(
      `select ${quoteLiteral(hostile)} as ${quoteIdentifier(hostile)}, current_database() as name`,
    )
    expect(rows).toEqual([{ [hostile]: hostile, name: app.name }])
  })
})

test('the settings in a child`s environment arrive at the server', async () => {
  const settings = {
    applicationName: 'hg:00000000:1:child',
    options: { lock_timeout: '77ms', 'app.note': 'two words \\ one' },
  }
  expect(libpqEnvironment(serverTarget(), settings)).toMatchObject({ PGDATABASE: 'postgres' })
  const out = await postgresProgram(
    'psql',
    [
      '-XAtc',
      `select current_setting('lock_timeout'), current_setting('app.note'), current_setting('application_name')`,
    ],
    serverTarget(),
    settings,
  )
  expect(out.trim()).toBe('77ms|two words \\ one|hg:00000000:1:child')
})
