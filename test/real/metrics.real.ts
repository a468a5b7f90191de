import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createChecks } from '../../src/adapters/check/index.js'
import type { CheckResult } from '../../src/adapters/check/port.js'
import { proveCheck } from '../../src/adapters/check/prove.js'
import { freePort } from '../../src/adapters/process/free-port.js'
import { SmokeCheck } from '../../src/domain/configuration-checks.js'
import { runName } from '../../src/domain/names.js'
import { type HttpServer, startHttpServer } from '../support/http-server.js'
import { serverTarget } from '../support/test-database.js'

/** A real Prometheus, which looks at a service of ours each second. */
let url: string
let service: HttpServer
let failing = 2
let end: () => Promise<void>

beforeAll(async () => {
  service = await startHttpServer((_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4')
    response.end(`# TYPE orders_failing gauge\norders_failing{service="orders"} ${failing}\n`)
  })
  const folder = mkdtempSync(join(tmpdir(), 'hg-prometheus-'))
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 1s }\nscrape_configs: [{ job_name: shop, static_configs: [{ targets: ["127.0.0.1:${service.port}"] }] }]\n`,
  )
  const options = [`--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'data')}`]
  const server = execa('prometheus', [...options, `--web.listen-address=127.0.0.1:${port}`], {
    reject: false,
    all: true,
  })
  end = async () => {
    server.kill('SIGKILL')
    await server
    await service.close()
    rmSync(folder, { recursive: true, force: true })
  }
  while (
    !(await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (server.exitCode !== null) throw new Error((await server).all)
    await pause(100)
  }
})
afterAll(() => end?.())

/** `began`: when the run did. */
function ask(configuration: object, began = new Date()): Promise<CheckResult> {
  const parsed = SmokeCheck.parse({ metrics: url, within: '60s', ...configuration })
  const [check] = createChecks([parsed], {
    ...{ target: serverTarget(), applicationName: 'hg:00000000:1:smoke', directory: '/', secrets: [] },
  })
  if (!check) throw new Error('no check was made')
  const context = { tag: '2', expectedVersion: undefined, ignoring: [], run: runName('staging', began) }
  return proveCheck(check, context, { signal: new AbortController().signal })
}

describe('a real Prometheus', () => {
  it('is asked for a value until it has one', async () => {
    expect(await ask({ query: 'orders_failing{service="orders"}', max: 5 })).toMatchObject({ ok: true, found: '2' })
    expect(await ask({ query: 'scalar(orders_failing) * 2', expect: 4 })).toMatchObject({ ok: true, found: '4' })
  })

  it('is asked what it was when the run began, and whether it is worse now', async () => {
    failing = 2
    await ask({ query: 'orders_failing', expect: 2 })
    // A run's name has its begin in whole seconds: what was there by then was there before.
    await pause(1_000)
    const began = new Date()
    await pause(2_000)
    failing = 9
    const unlikeBefore = { times: 2, plus: 1 }
    while (!(await ask({ query: 'orders_failing', min: 9 })).ok) await pause(100)
    const worse = await ask({ query: 'orders_failing', unlikeBefore, within: '1s' }, began)
    expect(worse).toMatchObject({ ok: false, found: expect.stringContaining('9, 2 when the run began: more than 5') })
    failing = 4
    expect(await ask({ query: 'orders_failing', unlikeBefore }, began)).toMatchObject({
      ok: true,
      found: '4, 2 when the run began',
    })
  })

  it('says what is wrong with a query, and has nothing to say of what it does not know', async () => {
    const wrong = await ask({ query: 'sum(', within: '1s' })
    expect(wrong.ok).toBe(false)
    expect(wrong.found).toContain('parse error')
    expect((await ask({ query: 'nobody_counts_this', max: 1, within: '1s' })).found).toContain('nothing is there')
  })
})
