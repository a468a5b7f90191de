import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { olderProcesses, raiseEpoch } from '../../../src/adapters/journal/epochs.js'
import { type FenceRequest, fenceScope, withFence } from '../../../src/adapters/journal/fence.js'
import { Journal } from '../../../src/adapters/journal/journal.js'
import { prepareJournal } from '../../../src/adapters/journal/prepare.js'
import { openSession, withSession } from '../../../src/adapters/postgres/session.js'
import type { Target } from '../../../src/adapters/postgres/target.js'
import { failedWith } from '../../../src/domain/failures.js'
import { applicationName } from '../../../src/domain/names.js'
import { Attempt, type AttemptOptions } from '../../support/fence-attempt.js'
import { startPostgres } from '../../support/postgres-server.js'
import { Sampler } from '../../support/sampler.js'
import { createDatabase, serverTarget, type TestDatabase } from '../../support/test-database.js'

const JOURNAL = serverTarget('fence_journal')

interface Place {
  database: TestDatabase
  resource: string
  start: (options?: Partial<AttemptOptions>) => Attempt
  audit: () => Promise<number[]>
  epoch: () => Promise<number>
  attempts: Attempt[]
  request: (options?: Partial<FenceRequest>) => FenceRequest
}

async function newPlace(): Promise<Place> {
  const database = await createDatabase()
  const resource = `test/${database.name}`
  const attempts: Attempt[] = []
  await withSession(database.target, { applicationName: 'test prepare' }, (session) =>
    session.query('create table dummy (id int); create table audit (epoch int)'),
  )
  return {
    database,
    resource,
    attempts,
    start: (options = {}) => {
      const attempt = new Attempt({ journal: JOURNAL, schema: 'fence', target: database.target, resource, ...options })
      attempts.push(attempt)
      return attempt
    },
    audit: async () =>
      (await rows<{ epoch: number }>(database.target, 'select epoch from audit')).map(({ epoch }) => epoch),
    epoch: async () =>
      Number(
        (await rows<{ epoch: string }>(JOURNAL, `select epoch from fence.epochs where resource = '${resource}'`))[0]
          ?.epoch,
      ),
    request: (options = {}) => ({
      journal,
      target: database.target,
      resource,
      run: 'fence',
      step: 'migrate',
      signal: new AbortController().signal,
      waiting: new AbortController().signal,
      progress: () => {},
      onSession: async () => {},
      ...options,
    }),
  }
}

let journal: Journal

const rows = <Row extends object>(target: Target, sql: string): Promise<Row[]> =>
  withSession(target, { applicationName: 'test look' }, async (session) => (await session.query<Row>(sql)).rows)

beforeAll(async () => {
  await createDatabase('fence_journal')
  await prepareJournal(JOURNAL, 'fence')
  journal = new Journal(JOURNAL, 'fence')
  return () => journal.close()
})

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(async () => {
  await Promise.all(place.attempts.map((attempt) => attempt.kill()))
})

/** Every await of an undisturbed attempt from the raised epoch to the effect, by name. */
async function awaits(): Promise<string[]> {
  const attempt = (await newPlace()).start({ holdMs: 0 })
  await attempt.until('acting')
  await attempt.ended()
  const acting = attempt.events.findIndex(({ event }) => event === 'acting')
  const keys = attempt.events.slice(0, acting + 2).flatMap(({ event, key }) => (event === 'await' && key ? [key] : []))
  const raised = keys.findIndex((key) => key.includes('into epochs'))
  return keys.slice(raised).filter((key) => !key.startsWith('watch'))
}

test.concurrent('an attempt frozen at any await between its epoch and its effect does nothing once a later one has taken over', async () => {
  const keys = await awaits()
  expect(keys.length).toBeGreaterThan(10)
  const cases = keys
    .flatMap((key) => (['before', 'sent'] as const).map((where) => ({ key, where })))
    // Before that it has no epoch yet: it would be the later one.
    .slice(1)
  const wrong: string[] = []
  const one = async (): Promise<void> => {
    for (let next = cases.shift(); next; next = cases.shift()) {
      const text = await frozenAt(next).catch((error: Error) => error.message)
      if (text !== '') wrong.push(`${next.where} ${next.key}: ${text}`)
    }
  }
  await Promise.all([one(), one(), one()])
  expect(wrong).toEqual([])
}, 300_000)

/** What was wrong, or the empty string. */
async function frozenAt(freeze: { key: string; where: 'before' | 'sent' }): Promise<string> {
  const here = await newPlace()
  const sampler = await Sampler.start(here.database)
  try {
    // An effect that was sent goes on at the server: it is there to be ended.
    const first = here.start({ freeze, holdMs: 60_000 })
    await first.frozen()
    const second = here.start()
    await second.until('acting')
    first.wake()
    const [ended, later] = await Promise.all([first.ended(), second.ended()])
    const epochs = await sampler.stop()
    const found = {
      first: ended?.code ?? ended?.event,
      second: later?.event,
      audit: await here.audit(),
      epochsAtOnce: epochs,
      errors: first.errors + second.errors,
    }
    const newest = await here.epoch()
    // Frozen inside the very transaction that raises it, the epoch never was its own.
    const hadEpoch = !freeze.key.startsWith('headgate journal')
    const isRight =
      found.second === 'done' &&
      (found.first === 'FenceLost' || (!hadEpoch && ended?.event === 'failed')) &&
      found.audit.length === 1 &&
      found.audit[0] === newest &&
      epochs <= 1 &&
      found.errors === ''
    return isRight ? '' : JSON.stringify({ ...found, newest, message: ended?.message, later: later?.message })
  } finally {
    await sampler.stop()
    await Promise.all(here.attempts.map((attempt) => attempt.kill()))
  }
}

/** Passes on what comes to the server until it is told to fall silent: nobody closes a connection. */
async function startSilentNetwork(port: number): Promise<{ port: number; fallSilent: () => void; close: () => void }> {
  const sockets: Socket[] = []
  const server: Server = createServer((from) => {
    const to = connect(port, '127.0.0.1')
    sockets.push(from, to)
    for (const socket of [from, to]) socket.on('error', () => {})
    from.pipe(to)
    to.pipe(from)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    fallSilent: () => {
      for (const socket of sockets) socket.unpipe().pause()
    },
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

test.concurrent('a guard whose network falls silent is given up, and with it the tool', async () => {
  const here = await newPlace()
  const network = await startSilentNetwork(JOURNAL.port)
  const pidFile = join(tmpdir(), `${here.database.name}-silent`)
  const mark = `${pidFile}-told`
  const attempt = here.start({
    journal: { ...JOURNAL, port: network.port },
    tool: ['sh', '-c', `trap 'touch ${mark}; exit 0' TERM; echo $$ > ${pidFile}; while :; do sleep 0.1; done`],
  })
  try {
    const pid = await until(async () => (existsSync(pidFile) && readFileSync(pidFile, 'utf8').trim()) || undefined)
    network.fallSilent()
    expect(await attempt.ended()).toMatchObject({ event: 'failed', code: 'FenceLost' })
    expect(existsSync(mark)).toBe(true)
    expect(existsSync(`/proc/${pid}`)).toBe(false)
    expect(attempt.errors).toBe('')
  } finally {
    await attempt.kill()
    network.close()
    for (const file of [pidFile, mark]) await rm(file, { force: true })
  }
}, 120_000)

test('the guard killed ends the running tool at once, and the attempt ends with FenceLost', async () => {
  const attempt = place.start({ tool: ['sleep', '300'] })
  await attempt.until('acting')
  await rows(
    JOURNAL,
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = '${await named(place, 1, 'guard')}'`,
  )
  expect(await attempt.ended()).toMatchObject({ event: 'failed', code: 'FenceLost' })
  expect(attempt.errors).toBe('')
})

const named = async ({ resource }: Place, epoch: number, step: string): Promise<string> =>
  applicationName(await fenceScope(journal, resource), epoch, step)

test('the process group of a frozen attempt is ended by the next one, before that acts', async () => {
  const first = place.start({ tool: ['sleep', '300'] })
  await first.until('acting')
  const tool = await recorded()
  first.freeze()
  const second = place.start()
  await second.until('held')
  // Its parent is frozen and cannot take leave of it.
  expect(stateOf(tool.pid)).toMatch(/^Z?$/)
  expect(await second.ended()).toMatchObject({ event: 'done', epoch: 2 })
  first.wake()
  expect(await first.ended()).toMatchObject({ event: 'failed', code: 'FenceLost' })
})

test('what a killed attempt`s tool left running is ended by the next one', async () => {
  const mark = join(tmpdir(), `${place.database.name}-left`)
  const first = place.start({ tool: ['sh', '-c', `(echo > ${mark}; exec sleep 300) & wait`] })
  await until(async () => existsSync(mark) || undefined)
  const tool = await recorded()
  await first.kill()
  const second = place.start()
  await second.until('held')
  expect(liveMembers(tool.pid)).toEqual([])
  await second.ended()
  await rm(mark, { force: true })
})

test('an epoch only grows, also when many attempts raise it at once', async () => {
  const raised = await Promise.all(
    Array.from({ length: 20 }, () => raiseEpoch(journal, place.resource, 'fence', 'migrate')),
  )
  expect(raised.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
})

test('of six attempts at once one after the other gets the fence, and only the newest acts', async () => {
  const sampler = await Sampler.start(place.database)
  const attempts = Array.from({ length: 6 }, () => place.start())
  const ended = await Promise.all(attempts.map((attempt) => attempt.ended()))
  expect(await sampler.stop()).toBeLessThanOrEqual(1)
  expect(await place.audit()).toHaveLength(1)
  for (const one of ended) expect(one?.event === 'done' || one?.code === 'FenceLost', JSON.stringify(one)).toBe(true)
  expect(attempts.map(({ errors }) => errors).join('')).toBe('')
})

test('attempts at two databases leave each other alone', async () => {
  const other = await newPlace()
  const [one, two] = [place.start({ holdMs: 1_000 }), other.start({ holdMs: 1_000 })]
  expect(await one.ended()).toMatchObject({ event: 'done', did: 'added' })
  expect(await two.ended()).toMatchObject({ event: 'done', did: 'added' })
  expect([await place.epoch(), await other.epoch()]).toEqual([1, 1])
})

test('a frozen attempt that holds the lock is relieved of it', async () => {
  const first = place.start({ holdMs: 60_000 })
  await first.until('acting')
  first.freeze()
  const second = place.start({ holdMs: 1_000 })
  await second.until('acting')
  const holders = await rows<{ name: string }>(
    JOURNAL,
    `select application_name as name from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and application_name like 'hg:${await fenceScope(journal, place.resource)}:%'`,
  )
  expect(holders).toEqual([{ name: await named(place, 2, 'guard') }])
  expect(await second.ended()).toMatchObject({ event: 'done', did: 'added' })
  first.wake()
  expect(await first.ended()).toMatchObject({ event: 'failed', code: 'FenceLost' })
  expect(await place.audit()).toEqual([2])
})

test('frozen and woken from outside at any moment, two attempts never work at once', async () => {
  for (let round = 0; round < 12; round++) {
    const here = await newPlace()
    const sampler = await Sampler.start(here.database)
    const first = here.start({ holdMs: 300 })
    await until(async () => first.events.length > 0 || undefined)
    await pause(Math.random() * 120)
    first.freeze()
    const second = here.start()
    await until(async () => second.events.some(({ event }) => event === 'acting' || event === 'done') || undefined)
    first.wake()
    const ended = await Promise.all([first.ended(), second.ended()])
    const told = JSON.stringify({ ended, seen: [...sampler.seen] })
    expect(await sampler.stop(), told).toBeLessThanOrEqual(1)
    expect(await here.audit(), told).toHaveLength(1)
    expect(first.errors + second.errors).toBe('')
  }
})

test('workers that reach the journal under two names know each other', async () => {
  const first = place.start({ journal: { ...JOURNAL, host: 'localhost' }, holdMs: 60_000 })
  await first.until('acting')
  first.freeze()
  const second = place.start()
  expect(await second.ended()).toMatchObject({ event: 'done', did: 'added' })
  first.wake()
  expect(await first.ended()).toMatchObject({ event: 'failed', code: 'FenceLost' })
  expect(await place.audit()).toEqual([2])
})

test('what an attempt writes into the journal is refused once a later one has raised the epoch', async () => {
  const writing = withFence(place.request(), async (held) => {
    await raiseEpoch(journal, place.resource, 'fence', 'migrate')
    await held.journal.write((sql) => sql(`insert into events (run, type) values ('nobody', 'late')`))
  })
  await expect(writing).rejects.toSatisfy((error) => failedWith(error, 'FenceLost'))
})

test('a process is not recorded, and so does not begin, once a later attempt has raised the epoch', async () => {
  const recording = withFence(place.request(), async ({ fence }) => {
    await raiseEpoch(journal, place.resource, 'fence', 'migrate')
    await fence.recordProcess(process.pid, '1')
  })
  await expect(recording).rejects.toSatisfy((error) => failedWith(error, 'FenceLost'))
  expect(await olderProcesses(journal, place.resource, 99, hostname())).toEqual([])
})

test('a session of an older attempt that arrives late is ended', async () => {
  await withFence(place.request(), async () => {})
  await withFence(place.request(), async () => {
    const late = await openSession(place.database.target, { applicationName: await named(place, 1, 'migrate') })
    await new Promise((resolve) => late.once('end', resolve))
  })
})

test('a lost control session fails the step in its own words, and nothing else', async () => {
  const step = withFence(place.request(), async ({ control, fence }) => {
    const { rows: own } = await control.query<{ pid: number }>('select pg_backend_pid() as pid')
    await rows(JOURNAL, `select pg_terminate_backend(${own[0]?.pid})`)
    await fence.check()
    await control.query('select 1')
  })
  await expect(step).rejects.toThrow(/terminat|not queryable/)
  await expect(step).rejects.not.toSatisfy((error) => failedWith(error, 'FenceLost'))
})

test('another run that is at work is waited for, and not ended', async () => {
  for (const name of ['fence-20260101-000001', 'fence-20260101-000002'])
    await journal.write((sql) =>
      sql(
        `insert into runs (name, project, environment, kind, lane, system_identifier, database, database_oids, workflow_id, workflow_run_id)
         values ($1, 'fence', 'fence', 'deploy', $1, 'test', $2, '{}', $1, $1)`,
        [name, place.database.name],
      ),
    )
  const first = place.start({ run: 'fence-20260101-000001' })
  await first.until('acting')
  first.freeze()
  const second = place.start({ run: 'fence-20260101-000002' })
  expect((await second.until('progress')).text).toContain('waits for run fence-20260101-000001')
  first.wake()
  expect(await first.ended()).toMatchObject({ event: 'done', did: 'added' })
  expect(await second.ended()).toMatchObject({ event: 'done', did: 'seen' })
})

test('with the journal on another server, attempts are fenced on both, and a journal that goes down loses the fence', async () => {
  const server = await startPostgres()
  const there: Target = { ...JOURNAL, port: server.port, database: 'headgate' }
  let isUp = true
  try {
    await prepareJournal(there, 'fence')
    const first = place.start({ journal: there, holdMs: 60_000 })
    await first.until('acting')
    first.freeze()
    expect(await place.start({ journal: there }).ended()).toMatchObject({ event: 'done', did: 'added' })
    first.wake()
    expect(await first.ended()).toMatchObject({ event: 'failed', code: 'FenceLost' })
    expect(await place.audit()).toEqual([2])
    const third = place.start({ journal: there, tool: ['sleep', '300'] })
    await third.until('acting')
    await server.stop()
    isUp = false
    expect(await third.ended()).toMatchObject({ event: 'failed', code: 'FenceLost' })
    expect(third.errors).toBe('')
  } finally {
    if (isUp) await server.stop()
  }
})

/** The first process that is recorded at the place. */
const recorded = (): Promise<{ pid: number }> =>
  until(async () => (await olderProcesses(journal, place.resource, 99, hostname()))[0])

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    await pause(10)
  }
}

/** One letter, empty when there is no such process. */
function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
  } catch {
    return ''
  }
}

function liveMembers(group: number): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || !/^[^Z]$/.test(stateOf(Number(pid)))) return false
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2] === String(group)
  })
}
