import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cacheFolder } from '../../src/adapters/process/provision.js'
import { createDatabase } from '../support/test-database.js'

const HEADGATE = fileURLToPath(new URL('../../bin/headgate.js', import.meta.url))

let folder: string
let dev: ChildProcess
let output = ''

const environment = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  HOME: folder,
  HEADGATE_CACHE: cacheFolder(),
  HEADGATE_HOME: join(folder, 'state'),
})

/** Beside no file, with no variable that says where Temporal is. */
const headgate = (...args: string[]): Promise<{ stdout: string }> =>
  promisify(execFile)(process.execPath, [HEADGATE, ...args], { cwd: join(folder, '..'), env: environment() })

async function until(text: string): Promise<void> {
  while (!output.includes(text)) {
    if (dev.exitCode !== null) throw new Error(`headgate dev ended: ${output}`)
    await pause(50)
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headgate-dev-'))
  const { url } = await createDatabase()
  await writeFile(
    join(folder, 'headgate.yaml'),
    `name: devshop\njournal: { schema: devshop }\nenvironments:\n  production: { url: "\${env:NOT_SET_ANYWHERE}" }\n  staging: { url: "\${env:SHOP_URL}" }\n`,
  )
  dev = spawn(process.execPath, [HEADGATE, 'dev'], { cwd: folder, env: { ...environment(), SHOP_URL: url } })
  for (const stream of [dev.stdout, dev.stderr])
    stream?.on('data', (data: Buffer) => {
      output += data.toString()
    })
  await until('next ')
})
afterAll(async () => {
  dev?.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

test('dev shows Temporal`s UI, the worker and what to type, and commands elsewhere find its server', async () => {
  expect(output).toMatch(/^Temporal {2}127\.0\.0\.1:\d+, UI http:\/\/127\.0\.0\.1:\d+$/m)
  expect(output).toMatch(/^worker ready: project devshop, staging on headgate-devshop-staging$/m)
  expect(output).toMatch(/^next {6}headgate deploy staging --tag TAG/m)
  const { stdout } = await headgate('history', 'staging', '--project', 'devshop')
  expect(stdout).toContain('staging: no runs so far')
})

test('dev says which environment it cannot serve, and why, and names one that it can', () => {
  expect(output).toMatch(
    /^production: not ready: headgate\.yaml:4:\d+: environments\.production\.url needs the environment variable NOT_SET_ANYWHERE, which is not set$/m,
  )
  expect(output).toMatch(/^next {6}headgate deploy staging/m)
})

test('a second dev says that one runs', async () => {
  const { stdout } = await headgate('dev', '--config', join(folder, 'headgate.yaml'))
  expect(stdout).toMatch(new RegExp(`^headgate dev runs already for devshop: process ${dev.pid}, `))
})

test('Ctrl-C ends the worker and the server, and nothing points to them any more', async () => {
  const [, address = ''] = /127\.0\.0\.1:(\d+), UI/.exec(output) ?? []
  dev.kill('SIGINT')
  const [exitCode] = await once(dev, 'exit')
  expect(exitCode).toBe(0)
  expect(existsSync(join(folder, 'state', 'dev.json'))).toBe(false)
  expect(existsSync(join(folder, 'state', 'temporal.db'))).toBe(true)
  await expect(fetch(`http://127.0.0.1:${address}`)).rejects.toThrow()
})
