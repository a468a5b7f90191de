import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/test-database.js'
import { connect, elsewhere, execute } from './connect.js'
import { type Ground, leftOvers } from './left-overs.js'

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
    for (const name of [`__r_${at}`, '__scratch'])
      await execute(elsewhere(database.url), `drop database ${database.name}${name}`)
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
})
