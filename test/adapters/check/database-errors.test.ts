import { beforeEach, describe, expect, it } from 'vitest'
import { createChecks } from '../../../src/adapters/check/index.js'
import type { Check } from '../../../src/adapters/check/port.js'
import { proveCheck } from '../../../src/adapters/check/prove.js'
import { withSession } from '../../../src/adapters/postgres/session.js'
import { SmokeCheck } from '../../../src/domain/configuration-checks.js'
import { freePort } from '../../support/http-server.js'
import { createDatabase, type TestDatabase } from '../../support/test-database.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

let database: TestDatabase
const signal = new AbortController().signal

beforeEach(async () => {
  database = await createDatabase()
})

function check(more: object = {}, target = database.target): Check {
  const setting = { target, applicationName: 'hg:00000000:1:smoke', directory: '/', secrets: [SECRET] }
  const [made] = createChecks([SmokeCheck.parse({ databaseErrors: {}, within: '20s', ...more })], setting)
  if (!made) throw new Error('no check was made')
  return made
}

/** Transactions of the application; its session tells the server's statistics of them when it ends. */
const traffic = (good: number, bad: number): Promise<void> =>
  withSession(database.target, { applicationName: 'shop' }, async (session) => {
    for (let n = 0; n < good; n++) await session.query('select 1')
    for (let n = 0; n < bad; n++) await session.query('select 1 / 0').catch(() => {})
  })

checkContract('databaseErrors', async () => {
  let target = database.target
  const first = check({}, target)
  await first.run(CONTEXT, signal)
  await traffic(200, 0)
  return {
    check: {
      ...first,
      run: (context, abort) => (target === database.target ? first : check({}, target)).run(context, abort),
    },
    become: async (condition) => {
      if (condition === 'bad') await traffic(50, 50)
      if (condition === 'gone') target = { ...target, port: await freePort() }
    },
    close: async () => {},
  }
})

describe('transactions that are rolled back', () => {
  it('prove nothing where nobody is at work: the looks themselves do not count', async () => {
    const found = await proveCheck(check({ transactions: 5, within: '6s' }), CONTEXT, { signal })
    expect(found).toMatchObject({ ok: false, found: expect.stringContaining(' of 5 transactions have ended') })
    expect(found.found).toMatch(/^0 of 5/)
  })

  it('may be as many as before, and half as many again', async () => {
    await traffic(900, 100)
    const made = check()
    await made.run(CONTEXT, signal)
    await traffic(88, 12)
    expect(await made.run(CONTEXT, signal)).toMatchObject({
      ok: true,
      found: expect.stringMatching(/^1[12]\.\d % of 1\d\d transactions were rolled back, (9|10)\.\d % before$/),
    })
    await traffic(50, 50)
    expect(await made.run(CONTEXT, signal)).toMatchObject({
      ok: false,
      found: expect.stringMatching(
        /^[23]\d\.\d % of 2\d\d transactions were rolled back, .* before, more than 1[56]\.\d %$/,
      ),
    })
  })

  it('are counted anew where the statistics were reset meanwhile', async () => {
    const made = check()
    await traffic(300, 0)
    await made.run(CONTEXT, signal)
    await withSession(database.target, { applicationName: 'dba' }, (session) => session.query('select pg_stat_reset()'))
    expect(await made.run(CONTEXT, signal)).toMatchObject({ ok: false, found: expect.stringMatching(/^0 of 100/) })
  })
})
