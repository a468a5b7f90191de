import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createReadiness } from '../../../src/adapters/check/index.js'
import type { CheckContext, CheckResult, CheckSetting } from '../../../src/adapters/check/port.js'
import { proveCheck } from '../../../src/adapters/check/prove.js'
import { Ready } from '../../../src/domain/configuration.js'
import { type HttpServer, json, startHttpServer } from '../../support/http-server.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

const signal = new AbortController().signal
const setting: CheckSetting = {
  target: {
    host: '127.0.0.1',
    port: 1,
    database: '',
    user: '',
    password: undefined,
    sslmode: undefined,
    sslrootcert: undefined,
  },
  applicationName: 'hg:00000000:1:restart-services',
  directory: '/',
  secrets: [SECRET],
}

const db = { name: 'db', ok: true, ms: 12.34, detail: { message: 'database reachable' } }
const jobs = (ok: boolean) => ({ name: 'jobs', ok, ms: 8.9, detail: { last_heartbeat: '2026-01-06T12:34:56Z' } })
const migrations = (ok: boolean, version: unknown, name = 'migrations') => ({
  name,
  ok,
  ms: 23.45,
  detail: { migrations_current: ok, current_version: version, expected_head: '0043_drop_name' },
})
const STAGE = '0042_add_email'

function readiness(url: string, more: object = {}) {
  return createReadiness({ ...Ready.parse({ url: `${url}/readyz`, ...more }), service: 'api' }, setting)
}

checkContract('readyz', async () => {
  let ok = true
  const server = await startHttpServer((_, response) =>
    json(response, ok ? 200 : 503, { ok, checks: [db, migrations(ok, ok ? STAGE : SECRET)] }),
  )
  return {
    check: readiness(server.url),
    become: async (condition) => {
      ok = condition === 'good'
      if (condition === 'gone') await server.close()
    },
    close: server.close,
  }
})

describe('readiness', () => {
  let server: HttpServer
  let answers: { status: number; body: unknown }[]

  beforeEach(async () => {
    answers = []
    server = await startHttpServer((_, response) => {
      const { status, body } = (answers.length > 1 ? answers.shift() : answers[0]) ?? { status: 404, body: '' }
      if (typeof body === 'string') return response.writeHead(status).end(body)
      return json(response, status, body)
    })
  })
  afterEach(() => server.close())

  const judged = (status: number, body: unknown, context: Partial<CheckContext> = {}, more: object = {}) => {
    answers = [{ status, body }]
    return readiness(server.url, more).run({ ...CONTEXT, ...context }, signal)
  }

  it.each<[string, number, unknown, Partial<CheckContext>, string]>([
    [
      'all is well',
      200,
      { ok: true, checks: [db, migrations(true, STAGE), jobs(true)] },
      {},
      `HTTP 200, version ${STAGE}`,
    ],
    [
      'it only waits for its own head, and the schema is at the stage’s version',
      503,
      { ok: false, checks: [db, migrations(false, STAGE)] },
      {},
      `HTTP 503, version ${STAGE}, set aside: migrations`,
    ],
    [
      'what is stale is fed by what the run has paused',
      503,
      { ok: false, checks: [db, migrations(true, STAGE), jobs(false)] },
      { ignoring: ['jobs'] },
      `HTTP 503, version ${STAGE}, set aside: jobs`,
    ],
    ['both', 503, { ok: false, checks: [migrations(false, STAGE), jobs(false)] }, { ignoring: ['jobs'] }, 'set aside'],
    [
      'no version is expected',
      200,
      { ok: true, checks: [migrations(true, 'x')] },
      { expectedVersion: undefined },
      'version x',
    ],
    ['it tells no version', 200, { ok: true, checks: [db] }, {}, 'HTTP 200, no version seen'],
    [
      'its version check skips itself',
      200,
      { ok: true, checks: [{ name: 'migrations', ok: true }] },
      {},
      'no version seen',
    ],
    [
      'versions are numbers',
      200,
      { ok: true, checks: [migrations(true, 42)] },
      { expectedVersion: '42' },
      'version 42',
    ],
    ['it says nothing but 200', 200, 'OK', {}, 'HTTP 200, no version seen'],
    ['its JSON has another form', 200, { status: 'UP' }, {}, 'HTTP 200, no version seen'],
  ])('is given when %s', async (_, status, body, context, found) => {
    const result = await judged(status, body, context)
    expect(result).toMatchObject({ ok: true, found: expect.stringContaining(found) })
  })

  it.each<[string, number, unknown, Partial<CheckContext>, string]>([
    ['a sub-check is not ok', 503, { ok: false, checks: [db, jobs(false)] }, {}, 'not ok: jobs'],
    [
      'the schema is behind',
      503,
      { ok: false, checks: [migrations(false, '0041')] },
      {},
      `version 0041, expected version ${STAGE}`,
    ],
    ['it says ok about another schema', 200, { ok: true, checks: [migrations(true, '0041')] }, {}, 'expected version'],
    [
      'the schema is behind, though the version check is to be ignored',
      503,
      { ok: false, checks: [migrations(false, '0041')] },
      { ignoring: ['migrations'] },
      'expected version',
    ],
    [
      'its version check fails without a version',
      503,
      { ok: false, checks: [{ name: 'migrations', ok: false }] },
      {},
      'not ok: migrations',
    ],
    ['it says no without saying why', 503, { ok: false, checks: [db] }, {}, 'HTTP 503'],
    ['it says no and nothing else', 503, { ok: false }, {}, 'HTTP 503'],
    ['it is broken', 500, { ok: false, checks: [jobs(false)] }, { ignoring: ['jobs'] }, 'HTTP 500'],
    ['it is not there', 404, 'not found', {}, 'HTTP 404'],
    ['a proxy answers for it', 502, '<html>', {}, 'HTTP 502'],
    ['it redirects', 302, '', {}, 'HTTP 302'],
  ])('is not given when %s', async (_, status, body, context, found) => {
    const result = await judged(status, body, context)
    expect(result).toMatchObject({ ok: false, found: expect.stringContaining(found) })
  })

  it('finds the version under another name where that is configured', async () => {
    const body = { ok: true, checks: [migrations(true, '0041', 'schema')] }
    expect(await judged(200, body, {}, { versionCheck: 'schema' })).toMatchObject({ ok: false })
  })

  const proven = (within: string, onSample?: (result: CheckResult) => void) =>
    proveCheck(readiness(server.url, { within }), CONTEXT, { signal, ...(onSample ? { onSample } : {}) })
  const yes = { status: 200, body: { ok: true, checks: [migrations(true, STAGE)] } }
  const stale = { status: 503, body: { ok: false, checks: [migrations(false, '0041')] } }

  it('is proven by two answers in a row', async () => {
    answers = [yes, stale, yes, yes]
    const samples: boolean[] = []
    expect(await proven('60s', ({ ok }) => samples.push(ok))).toMatchObject({ ok: true })
    expect(samples).toEqual([true, false, true, true])
  })

  it('outlives stale answers from a cache as long as it may', async () => {
    answers = [stale, stale, yes]
    expect(await proven('60s')).toMatchObject({ ok: true })
  })

  it('is not given when time is over, with what was last seen', async () => {
    answers = [stale]
    const result = await proven('600ms')
    expect(result.ok).toBe(false)
    expect(result.found).toContain(`version 0041, expected version ${STAGE}`)
  })

  it('is not given for one good answer at the end of its time', async () => {
    answers = [yes]
    const [check] = [{ ...readiness(server.url, { within: '600ms' }), successes: 1_000 }]
    expect((await proveCheck(check, CONTEXT, { signal })).found).toContain('not often enough within 600 ms')
  })

  it('ends with the reason of its signal while it waits', async () => {
    answers = [stale]
    const stop = new AbortController()
    const proving = proveCheck(readiness(server.url), CONTEXT, {
      signal: stop.signal,
      onSample: () => stop.abort(new Error('enough')),
    })
    await expect(proving).rejects.toThrow('enough')
  })
})
