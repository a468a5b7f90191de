import { beforeAll, describe, expect, it } from 'vitest'
import { prepareJournal } from '../../src/adapters/journal/prepare.js'
import { withSession } from '../../src/adapters/postgres/session.js'
import { plainUrl } from '../../src/adapters/migrator/tool-environment.js'
import { Attempt } from '../support/fence-attempt.js'
import { createDatabase, serverTarget, type TestDatabase } from '../support/test-database.js'
import { containers, docker } from './containers.js'
import { BASE_IMAGE } from './docker-engine.js'

const JOURNAL = serverTarget('container_journal')
/** Waits in the database for longer than any test, as a migration may; then it would write. */
const TOOL = `
import psycopg2, sys
connection = psycopg2.connect(sys.argv[1])
connection.cursor().execute("select pg_sleep(600); insert into audit values (0)")
connection.commit()
`

let database: TestDatabase
const start = (options: object = {}): Attempt =>
  new Attempt({
    ...{ journal: JOURNAL, schema: 'fence', target: database.target, resource: `test/${database.name}` },
    ...{ tool: ['python3', '-c', TOOL, plainUrl(database.target)], image: BASE_IMAGE },
    ...options,
  })
const asleep = (): Promise<number> =>
  withSession(database.target, { applicationName: 'test look' }, async (session) => {
    const { rowCount } = await session.query(
      `select from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()`,
    )
    return rowCount ?? 0
  })
const sleeps = async (): Promise<void> => {
  while ((await asleep()) === 0) await new Promise((resolve) => setTimeout(resolve, 50))
}

beforeAll(async () => {
  await createDatabase('container_journal')
  await prepareJournal(JOURNAL, 'fence')
  database = await createDatabase()
  await withSession(database.target, { applicationName: 'test prepare' }, (session) =>
    session.query('create table dummy (id int); create table audit (epoch int)'),
  )
})

describe('a tool in a container', () => {
  it('goes on when its worker and its client are killed, and is gone before the next attempt acts', async () => {
    const killed = start()
    await sleeps()
    await killed.kill()
    // The premise: killing the client is not enough.
    expect(containers()).toHaveLength(1)
    const next = start({ tool: undefined })
    expect(await next.until('held')).toMatchObject({ epoch: 2 })
    expect(containers()).toEqual([])
    expect(await asleep()).toBe(0)
    expect(await next.ended()).toMatchObject({ event: 'done', did: 'added' })
  })

  it('says whose it is', async () => {
    const running = start()
    await sleeps()
    const [name = ''] = containers()
    const inspected = docker('inspect', '--format', '{{json .Config.Labels}} {{json .Args}}', name)
    expect(inspected).toMatch(/"headgate\.attempt":"hg:[0-9a-f]{8}:\d+:migrate"/)
    await running.kill()
    await start({ tool: undefined }).ended()
    expect(containers()).toEqual([])
  })
})
