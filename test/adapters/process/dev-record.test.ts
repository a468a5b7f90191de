import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readDevRecord, removeDevRecord, writeDevRecord } from '../../../src/adapters/process/dev-record.js'

let home: string
beforeEach(async () => {
  home = join(await mkdtemp(join(tmpdir(), 'headgate-home-')), 'state')
})
afterEach(() => rm(home, { recursive: true, force: true }))

const record = { address: '127.0.0.1:7233', ui: 'http://127.0.0.1:8233', pid: process.pid, project: 'shop' }

test('a dev server is found as long as its process lives, and its record is for nobody else`s eyes', async () => {
  expect(await readDevRecord(home)).toBeUndefined()
  await writeDevRecord(home, record)
  expect(await readDevRecord(home)).toEqual(record)
  expect((await stat(join(home, 'dev.json'))).mode & 0o777).toBe(0o600)
  expect((await stat(home)).mode & 0o777).toBe(0o700)
  expect(await readdir(home)).toEqual(['dev.json'])
})

test('the record of a process that is gone counts as none', async () => {
  const child = spawn(process.execPath, ['-e', ''])
  const { pid = 0 } = child
  await once(child, 'exit')
  await writeDevRecord(home, { ...record, pid })
  expect(await readDevRecord(home)).toBeUndefined()
})

test.each(['', '{', '[]', '{"address":"x"}', '{"address":"x","pid":-1,"project":"p"}'])(
  'a record that holds %j counts as none',
  async (text) => {
    await writeDevRecord(home, record)
    await writeFile(join(home, 'dev.json'), text)
    expect(await readDevRecord(home)).toBeUndefined()
  },
)

test('a process removes its own record and nobody else`s', async () => {
  await writeDevRecord(home, record)
  await removeDevRecord(home, process.pid + 1)
  expect(await readDevRecord(home)).toEqual(record)
  await removeDevRecord(home, process.pid)
  expect(await readDevRecord(home)).toBeUndefined()
  await removeDevRecord(home, process.pid)
})
