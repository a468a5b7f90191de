import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const HEADGATE = fileURLToPath(new URL('../../bin/headgate.js', import.meta.url))

/** Everything the demo writes, and the mark by which each of its processes is known. */
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headgate-demo-test-'))
  // As root the database server is somebody else, and has its folder in here.
  await chmod(folder, 0o755)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function demo(...args: string[]) {
  const env = { ...process.env, TMPDIR: folder, HEADGATE_HOME: join(folder, 'home') }
  const child = execFile(process.execPath, [HEADGATE, 'demo', ...args], { env })
  const ended = new Promise<{ code: number | null; lines: string[] }>((resolve) => {
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (text += String(data)))
    child.once('close', (code) => resolve({ code, lines: text.trimEnd().split('\n') }))
  })
  return { child, ended }
}

/** Processes with the folder in their environment or arguments. */
async function processesLeft(): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [environ, cmdline] = await Promise.all(
      ['environ', 'cmdline'].map((name) => readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '')),
    )
    if (`${environ}${cmdline}`.includes(folder)) found.push(`${pid} ${cmdline?.replaceAll('\0', ' ')}`)
  }
  return found
}

test('a migration that commits half of its work is put back, no order is lost, and nothing is left behind', async () => {
  const { code, lines } = await demo('--scene', 'b').ended
  expect(lines.filter((line) => line.includes('NOT'))).toEqual([])
  expect(lines).toContain('scene b: restored')
  const [, acknowledged, found] =
    /^(\d+) orders acknowledged, (\d+) found in shop and shop__q_\S+$/.exec(lines.at(-1) ?? '') ?? []
  expect(Number(acknowledged)).toBeGreaterThan(20)
  expect(found).toBe(acknowledged)
  expect(code).toBe(0)
  expect(await readdir(folder)).toEqual([])
  expect(await processesLeft()).toEqual([])
})

test('what --keep left up is ended by --stop', async () => {
  const { code, lines } = await demo('--scene', 'a', '--keep').ended
  expect(code).toBe(0)
  expect(lines.at(-1)).toMatch(/^To end it: node .*headgate\.js demo --stop$/)
  expect((await processesLeft()).length).toBeGreaterThanOrEqual(5)
  expect((await demo('--stop').ended).lines).toEqual(['the demo that was kept is ended'])
  expect(await processesLeft()).toEqual([])
  expect(await readdir(folder)).toEqual(['home'])
  expect(await readdir(join(folder, 'home'))).toEqual([])
})

test('Ctrl-C ends everything it started', async () => {
  const { child, ended } = demo('--scene', 'a')
  child.stdout?.on('data', (data) => {
    if (String(data).includes('deploy staging --tag 2')) child.kill('SIGINT')
  })
  expect((await ended).code).toBe(130)
  expect(await processesLeft()).toEqual([])
  expect(await readdir(folder)).toEqual([])
})
