import { beforeAll, describe, expect, it } from 'vitest'
import { createChecks } from '../../../src/adapters/check/index.js'
import type { Check } from '../../../src/adapters/check/port.js'
import { withSession } from '../../../src/adapters/postgres/session.js'
import { VerifyCheck } from '../../../src/domain/configuration-checks.js'
import { freePort } from '../../support/http-server.js'
import { createDatabase, type TestDatabase } from '../../support/test-database.js'
import { CONTEXT, checkContract, SECRET } from './contract.js'

let database: TestDatabase
const signal = new AbortController().signal

function check(configuration: object, target = database.target): Check {
  const setting = { target, applicationName: 'hg:00000000:1:verify', directory: '/', secrets: [SECRET] }
  const [made] = createChecks([VerifyCheck.parse(configuration)], setting)
  if (!made) throw new Error('no check was made')
  return made
}

const run = (sql: string): Promise<unknown> =>
  withSession(database.target, { applicationName: 'test' }, (session) => session.query(sql))

beforeAll(async () => {
  database = await createDatabase()
  await run(`create schema sales; create table orders (id int, "Item Name" text); create view recent as select * from orders;
    create table sales.invoices (id int); create index orders_id on orders (id); create table "Odd.Name" ("Sub.Part" int);
    create table doubled (n int); insert into doubled values (1), (1)`)
  await run('create unique index concurrently doubled_n on doubled (n)').catch(() => {})
})

checkContract('exists', async () => {
  await run('create table if not exists fleeting (id int)')
  let target = database.target
  const made = (): Check => check({ tables: ['fleeting'] }, target)
  return {
    check: { ...made(), run: (context, abort) => made().run(context, abort) },
    become: async (condition) => {
      if (condition === 'bad') await run('drop table fleeting')
      if (condition === 'gone') target = { ...target, port: await freePort() }
    },
    close: async () => void (await run('drop table if exists fleeting')),
  }
})

describe('what must exist', () => {
  it('is found with its schema and without, as PostgreSQL reads names', async () => {
    const wanted = {
      tables: ['orders', 'recent', 'sales.invoices'],
      columns: ['orders.ID', 'orders."Item Name"', 'sales.invoices.id', '"Odd.Name"."Sub.Part"'],
      indexes: ['orders_id'],
    }
    expect(await check(wanted).run(CONTEXT, signal)).toMatchObject({ ok: true, found: 'all 8' })
  })

  it.each([
    [{ tables: ['invoices'] }, 'table invoices is not there'],
    [{ tables: ['orders_id'] }, 'table orders_id is not there'],
    [{ columns: ['orders.price'] }, 'column orders.price is not there'],
    [{ columns: ['missing.id'] }, 'column missing.id is not there'],
    [{ indexes: ['orders'] }, 'index orders is not there'],
    [{ indexes: ['doubled_n'] }, 'index doubled_n is not valid'],
  ])('is missed: %o', async (wanted, found) => {
    expect(await check(wanted).run(CONTEXT, signal)).toMatchObject({ ok: false, found })
  })

  it('names something', () => {
    expect(VerifyCheck.safeParse({ tables: [] }).success).toBe(false)
  })
})
