import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createChecks } from '../../../src/adapters/check/index.js'
import type { Check } from '../../../src/adapters/check/port.js'
import { parseTarget } from '../../../src/adapters/postgres/target.js'
import { SmokeCheck } from '../../../src/domain/configuration-checks.js'
import { type HttpServer, json, startHttpServer } from '../../support/http-server.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

const signal = new AbortController().signal
/** 2026-11-20 10:30:15 UTC, when the run of `CONTEXT` began. */
const BEGAN = 1_795_170_615

function check(configuration: object): Check {
  const target = parseTarget('postgres://nobody@127.0.0.1:1/none')
  const setting = { target, applicationName: 'hg:00000000:1:smoke', directory: '/', secrets: [SECRET] }
  const [made] = createChecks([SmokeCheck.parse(configuration)], setting)
  if (!made) throw new Error('no check was made')
  return made
}

/** Prometheus' `/api/v1/query` for one series, whose value is told by what it was at a time; NaN: there is none. */
const startPrometheus = (valueAt: (time: number | undefined) => number | string): Promise<HttpServer> =>
  startHttpServer(({ path }, response) => {
    const { pathname, searchParams } = new URL(path, 'http://prometheus')
    if (pathname !== '/api/v1/query') return json(response, 404, {})
    const asked = searchParams.get('time')
    const value = valueAt(asked === null ? undefined : Number(asked))
    if (typeof value === 'string') return json(response, 400, { status: 'error', errorType: 'bad_data', error: value })
    const result = Number.isNaN(value) ? [] : [{ metric: {}, value: [Number(asked), String(value)] }]
    json(response, 200, { status: 'success', data: { resultType: 'vector', result } })
  })

checkContract('metrics', async () => {
  let value: number | string = 0.01
  const server = await startPrometheus(() => value)
  return {
    check: check({ metrics: server.url, query: 'error_rate', max: 0.05 }),
    become: async (condition) => {
      if (condition === 'bad') value = `parse error at ${SECRET}`
      if (condition === 'gone') await server.close()
    },
    close: server.close,
  }
})

describe('a query of metrics', () => {
  let server: HttpServer
  let [now, before]: number[] = []
  beforeEach(async () => {
    server = await startPrometheus((time) => (time === undefined ? now : time === BEGAN ? before : 99) ?? Number.NaN)
  })
  afterEach(() => server.close())

  it.each([
    [3, { max: 5 }, true, '3'],
    [7, { max: 5 }, false, '7, at most 5'],
    [0, { min: 1 }, false, '0, at least 1'],
    [1, { expect: 1 }, true, '1'],
  ])('that brings %d and must be %o', async (value, limits, ok, found) => {
    now = value
    expect(await check({ metrics: server.url, query: 'up', ...limits }).run(CONTEXT, signal)).toEqual({
      name: 'metrics up',
      ok,
      found,
    })
  })

  it.each([
    [0.02, 0.02, true, '0.02, 0.02 when the run began'],
    [0.05, 0.02, true, '0.05, 0.02 when the run began'],
    [0.3, 0.02, false, '0.3, 0.02 when the run began: more than 0.05'],
    [0.3, Number.NaN, false, '0.3, and no value from before the run to compare it with'],
  ])('that brings %d after %d before the run, of which twice and 0.01 more is allowed', async (is, was, ok, found) => {
    ;[now, before] = [is, was]
    const unlikeBefore = { times: 2, plus: 0.01 }
    expect(await check({ metrics: server.url, query: 'rate', unlikeBefore }).run(CONTEXT, signal)).toMatchObject({
      ok,
      found,
    })
  })

  it('that brings nothing proves nothing', async () => {
    now = Number.NaN
    expect(await check({ metrics: server.url, query: 'typo', max: 5 }).run(CONTEXT, signal)).toMatchObject({
      ok: false,
      found: 'nothing is there',
    })
  })
})
