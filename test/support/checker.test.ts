import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appTemplate, copyOf } from './app-database.js'
import { differences, type Snapshot, snapshotOf } from './checker.js'
import { COMMITTED_CHANGES } from './committed-changes.js'
import { type Ground, leftOvers } from './left-overs.js'
import { createDatabase, type TestDatabase } from './test-database.js'

async function connect(url: string, applicationName = 'test'): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: applicationName })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function execute(url: string, ...statements: string[]): Promise<void> {
  const client = await connect(url)
  for (const statement of statements) await client.query(statement)
  await client.end()
}

describe('the checker', () => {
  let template: TestDatabase
  let before: Snapshot
  const around = { 'consumer stock': 'running', 'service api': 'on tag 1' }
  const look = (url: string, now: Record<string, string> = around): Promise<Snapshot> =>
    snapshotOf({ url, surroundings: async () => now })

  beforeAll(async () => {
    template = await appTemplate()
    before = await look((await copyOf(template)).url)
  })

  test('finds nothing where nothing changed, and nothing between a database and its copy', async () => {
    const copy = await copyOf(template)
    expect(differences(before, await look(copy.url))).toEqual([])
    expect(differences(await look(copy.url), await look(copy.url))).toEqual([])
  })

  test('finds nothing in rows that were read and transactions that were rolled back', async () => {
    const copy = await copyOf(template)
    await execute(copy.url, 'begin', 'select count(*) from orders', 'create table gone (a int)', 'rollback', 'analyze')
    expect(differences(before, await look(copy.url))).toEqual([])
  })

  test.concurrent.each(Object.entries(COMMITTED_CHANGES))(
    'turns red after %s',
    { timeout: 120_000 },
    async (_, change) => {
      const copy = await copyOf(template)
      await execute(copy.url, ...change.replaceAll(':db', copy.name).split(';;'))
      expect(differences(before, await look(copy.url))).not.toEqual([])
    },
  )

  test.each([
    ['one changed value', `update customers set email = 'x' where id = 3`, /^rows of public\.customers: /],
    ['an ACL', 'grant delete on orders to app_ro', /^schema .*ACL/],
    ['a sequence', `select nextval('ticket')`, /^sequence of public\.ticket: was "100 t", is "105 t"$/],
    ['a database setting', `alter database :db set work_mem = '9MB'`, /^setting of everybody: work_mem: .*9MB/],
    [
      'a role setting',
      `alter role app_rw in database :db set work_mem = '7MB'`,
      /^setting of app_rw: work_mem: was absent/,
    ],
    ['a comment of the database', `comment on database :db is 'x'`, /^database comment: .* is "x"$/],
    ['an ACL of the database', 'grant create on database :db to app_ro', /^database acl: /],
    ['the content of a large object', `select lo_put(4711, 7, 'x')`, /^large object 4711: /],
    ['the owner of a large object', 'alter large object 4711 owner to app_rw', /^large object 4711: /],
    ['the ACL of a large object', 'revoke select on large object 4711 from app_ro', /^large object 4711: /],
    ['an added table', 'create table extra (a int)', /^rows of public\.extra: was absent, is "0 rows/],
    ['an added index', 'create index extra on audit (what)', /^index public\.extra: was absent/],
  ])('names %s', async (_, change, words) => {
    const copy = await copyOf(template)
    await execute(copy.url, change.replaceAll(':db', copy.name))
    expect(differences(before, await look(copy.url))).toContainEqual(expect.stringMatching(words))
  })

  test('names a database that is left closed', async () => {
    const copy = await copyOf(template)
    const open = await look(copy.url)
    await execute(template.url, `alter database ${copy.name} connection limit 0`)
    expect(differences(open, await look(copy.url))).toContain('database connection limit: was "77", is "0"')
  })

  test('names a paused consumer and another tag', async () => {
    const copy = await copyOf(template)
    const now = { 'consumer stock': 'paused', 'service api': 'on tag 2' }
    expect(differences(before, await look(copy.url, now))).toEqual([
      'around consumer stock: was "running", is "paused"',
      'around service api: was "on tag 1", is "on tag 2"',
    ])
  })
})

describe('what is left over', () => {
  let database: TestDatabase
  let folder: string
  let worker: ChildProcess
  const ground = (): Ground => ({ url: database.url, folders: [folder], workers: [worker.pid ?? 0] })
  const left = async (): Promise<string[]> => (await leftOvers(ground(), 0)).left

  beforeAll(async () => {
    database = await createDatabase()
    folder = await mkdtemp(join(tmpdir(), 'headgate-left-'))
    // Stands for a worker: it starts a child for each line it is told.
    worker = spawn('sh', ['-c', 'while read line; do sleep "$line" & done'], { stdio: ['pipe', 'ignore', 'ignore'] })
  })
  afterAll(async () => {
    worker.stdin?.end()
    if (worker.exitCode === null) await once(worker, 'exit')
    await rm(folder, { recursive: true, force: true })
  })

  test('is nothing where nothing is, whoever else is there', async () => {
    const neighbour = await connect((await createDatabase()).url, 'hg:00000000:1:migrate')
    const viewer = await connect(database.url, 'psql')
    expect(await leftOvers(ground(), 0)).toEqual({ left: [], quarantines: [], clones: [] })
    await neighbour.end()
    await viewer.end()
  })

  test('is a database named after it, and no kept clone or quarantine', async () => {
    const at = '261120103015_0a1b'
    for (const kind of ['q', 'c', 'r']) await createDatabase(`${database.name}__${kind}_${at}`)
    await createDatabase(`${database.name}__scratch`)
    expect(await leftOvers(ground(), 0)).toEqual({
      left: [`database ${database.name}__r_${at}`, `database ${database.name}__scratch`],
      quarantines: [`${database.name}__q_${at}`],
      clones: [`${database.name}__c_${at}`],
    })
    for (const name of [`__r_${at}`, '__scratch']) await execute(elsewhereOf(), `drop database ${database.name}${name}`)
    expect(await left()).toEqual([])
  })

  test('is a backend of ours, until it has gone', async () => {
    const session = await connect(database.url, 'hg:0a1b2c3d:7:migrate')
    expect(await left()).toEqual([expect.stringMatching(/^backend \d+ of hg:0a1b2c3d:7:migrate on /)])
    const waiting = leftOvers(ground())
    await session.end()
    expect((await waiting).left).toEqual([])
  })

  test('is a prepared transaction, and an advisory lock', async () => {
    await execute(database.url, 'begin', 'create table half (a int)', `prepare transaction 'half'`)
    expect(await left()).toEqual([`prepared transaction half on ${database.name}`])
    await execute(database.url, `rollback prepared 'half'`)
    const session = await connect(database.url)
    await session.query('select pg_advisory_lock(42)')
    expect(await left()).toEqual([expect.stringMatching(/^advisory lock 0\/42 on /)])
    await session.end()
  })

  test('is an unfinished file, deep inside', async () => {
    await mkdir(join(folder, 'shop', 'pre.partial-1'), { recursive: true })
    await writeFile(join(folder, 'shop', 'pre.partial-1', 'toc.dat'), '')
    expect(await left()).toContain('unfinished shop/pre.partial-1')
    await rm(join(folder, 'shop'), { recursive: true })
    expect(await left()).toEqual([])
  })

  test('is a child of a worker, and a child of nobody that works in the folder', async () => {
    worker.stdin?.write('33\n')
    await expect.poll(left).not.toEqual([])
    const [child = ''] = await left()
    expect(child).toMatch(/^process \d+: sleep 33$/)
    process.kill(Number(child.split(/[ :]/)[1]))
    const orphan = spawn('sleep', ['44'], { cwd: folder, detached: true })
    await once(orphan, 'spawn')
    expect(await left()).toEqual([`process ${orphan.pid}: sleep 44`])
    orphan.kill()
    await once(orphan, 'exit')
    expect(await left()).toEqual([])
  })

  const elsewhereOf = (): string => database.url.replace(/\/[^/?]+(\?|$)/, '/postgres$1')
})
