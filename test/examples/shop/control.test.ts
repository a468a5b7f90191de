import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { command } from '../../../src/adapters/service/command.js'
import { OpenFence } from '../../support/open-fence.js'
import { ask, openShop, type Shop, SHOP, until } from './shop.js'

let shop: Shop
beforeEach(async () => {
  shop = await openShop()
  await shop.run('migrate-release-1')
  await shop.control('init', '--port', String(shop.port))
})
afterEach(() => shop.close())

const version = async () => (await ask(`${shop.url}/version`).catch(() => undefined))?.body
const pidOf = async () => Number((await version())?.pid)
const current = async () => (await shop.control('current')).stdout

test('a deployment replaces what runs, and current tells what was deployed last', async () => {
  expect(await current()).toBe('')
  expect(await shop.control('deploy', '1')).toMatchObject({ code: 0 })
  expect(await version()).toMatchObject({ release: '1' })
  expect(await shop.control('deploy', '2')).toMatchObject({ code: 0 })
  expect(await version()).toMatchObject({ release: '2' })
  expect(await current()).toBe('2\n')
  expect(await shop.control('stop')).toMatchObject({ code: 0 })
  expect(await version()).toBeUndefined()
  expect(await current()).toBe('2\n')
  expect(await shop.control('start')).toMatchObject({ code: 0 })
  expect(await version()).toMatchObject({ release: '2' })
})

test('deploy, start and stop twice are once', async () => {
  await shop.control('deploy', '1')
  const pid = await pidOf()
  expect(await shop.control('deploy', '1')).toMatchObject({ code: 0 })
  expect(await shop.control('start')).toMatchObject({ code: 0 })
  expect(await pidOf()).toBe(pid)
  expect(await shop.control('stop')).toMatchObject({ code: 0 })
  expect(await shop.control('stop')).toMatchObject({ code: 0 })
})

test('it knows which releases exist, and leaves what runs alone when one does not', async () => {
  await shop.control('deploy', '1')
  for (const tag of ['1', '2', '3', '4']) expect(await shop.control('exists', tag)).toMatchObject({ code: 0 })
  for (const tag of ['5', '..', '../releases/1']) expect(await shop.control('exists', tag)).toMatchObject({ code: 1 })
  expect(await shop.control('deploy', '5')).toMatchObject({ code: 1, stderr: 'release 5 does not exist\n' })
  expect(await version()).toMatchObject({ release: '1' })
  expect(await shop.control('start', '1')).toMatchObject({ code: 2 })
})

test('a process that got the id of the service is left alone', async () => {
  await shop.control('deploy', '1')
  await shop.control('stop')
  const stranger = spawn('sleep', ['60'])
  const exited = once(stranger, 'exit')
  await writeFile(join(shop.home, 'service.json'), JSON.stringify({ pid: stranger.pid, startTime: '1', release: '1' }))
  expect(await shop.control('stop')).toMatchObject({ code: 0 })
  expect(await shop.control('deploy', '2')).toMatchObject({ code: 0 })
  expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
  stranger.kill()
  await exited
})

test('a service without its file, of a control that was killed, is found and stopped', async () => {
  await shop.control('deploy', '1')
  await rm(join(shop.home, 'service.json'))
  expect(await shop.control('deploy', '2')).toMatchObject({ code: 0 })
  expect(await version()).toMatchObject({ release: '2' })
})

test('a service that was killed is started anew', async () => {
  await shop.control('deploy', '1')
  const pid = await pidOf()
  process.kill(pid, 'SIGKILL')
  await until('it is gone', async () => (await version()) === undefined)
  expect(await shop.control('start')).toMatchObject({ code: 0 })
  expect(await pidOf()).not.toBe(pid)
})

test('a service that cannot start is an error with the reason in it', async () => {
  await shop.control('deploy', '1')
  const settings = JSON.parse(await readFile(join(shop.home, 'settings.json'), 'utf8'))
  const other = await openShop()
  await writeFile(join(other.home, 'settings.json'), JSON.stringify(settings))
  const answer = await other.control('deploy', '2')
  await other.close()
  expect(answer).toMatchObject({ code: 1, stderr: expect.stringContaining('EADDRINUSE') })
  expect(await version()).toMatchObject({ release: '1' })
})

test("headgate's command service deploys, stops and starts it, and it outlives the call", async () => {
  const call = (...args: string[]) => ['node', 'control.mjs', '--home', shop.home, ...args]
  const service = command(
    'api',
    {
      kind: 'command',
      deploy: call('deploy', '{tag}'),
      start: call('start'),
      stop: call('stop'),
      current: call('current'),
      exists: call('exists', '{tag}'),
      within: 60_000,
    },
    { directory: SHOP, secrets: [] },
  )
  const { signal } = new AbortController()
  expect(await service.current(signal)).toBeUndefined()
  expect([await service.exists('2', signal), await service.exists('5', signal)]).toEqual([true, false])
  await service.deploy('2', new OpenFence())
  expect(await version()).toMatchObject({ release: '2' })
  expect(await service.current(signal)).toBe('2')
  await service.stop(new OpenFence())
  expect(await version()).toBeUndefined()
  await service.start(new OpenFence())
  expect(await version()).toMatchObject({ release: '2' })
})
