import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isAlive } from '../../../src/adapters/process/process-group.js'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headgate-test-'))
})

afterEach(() => rm(folder, { recursive: true, force: true }))

/** A process that starts a server which never ends by itself; gives back both. */
async function startElsewhere(detached: boolean, then: string) {
  const module = JSON.stringify(resolve('src/adapters/process/server-process.ts'))
  const script = `
    const { startServerProcess } = await import(${module})
    const server = await startServerProcess({
      name: 'sleeper', command: ['sleep', '600'], env: { PATH: process.env.PATH }, cwd: '/', endSignal: 'SIGTERM',
      logFile: ${JSON.stringify(join(folder, 'log'))}, detached: ${detached} })
    console.log(server.pid)
    ${then}`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
  const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<void>((done) => parent.once('exit', () => done()))
  for await (const line of createInterface(parent.stdout)) return { parent, exited, pid: Number(line) }
  throw new Error('it said nothing')
}

test('a server ends with the process that started it', async () => {
  const { exited, pid } = await startElsewhere(false, 'process.exit(0)')
  await exited
  await expect.poll(() => isAlive(pid), { timeout: 120_000 }).toBe(false)
})

// Elsewhere the kernel has no such service.
if (process.platform === 'linux') {
  test('a server ends with the process that started it, even when that is killed', async () => {
    const { parent, exited, pid } = await startElsewhere(false, 'setInterval(() => {}, 1000)')
    // What asks the kernel for it becomes the server once it has.
    await expect.poll(() => readFile(`/proc/${pid}/comm`, 'utf8'), { timeout: 120_000 }).toBe('sleep\n')
    parent.kill('SIGKILL')
    await exited
    await expect.poll(() => isAlive(pid), { timeout: 120_000 }).toBe(false)
  })
}

test('a detached server stays up, and keeps nobody waiting', async () => {
  const { exited, pid } = await startElsewhere(true, '')
  await exited
  expect(isAlive(pid)).toBe(true)
  process.kill(pid, 'SIGKILL')
})
