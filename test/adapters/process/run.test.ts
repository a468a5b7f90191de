import { execFile, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endProcessGroup, isAlive, startTimeOf } from '../../../src/adapters/process/process-group.js'
import { runFenced, runProgram } from '../../../src/adapters/process/run.js'
import { failedWith, failure } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'

const never = new AbortController().signal
/** A fence and the way to lose it. */
const losable = () => {
  const held = new AbortController()
  const lose = (): void => held.abort(failure('FenceLost', 'a later attempt has taken over'))
  return { fence: new OpenFence({ signal: held.signal }), lose }
}
const node = (script: string): string[] => [process.execPath, '-e', script]
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hg-run-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const codeOf = (promise: Promise<unknown>, code: Parameters<typeof failedWith>[1]): Promise<boolean> =>
  promise.then(
    () => false,
    (error: unknown) => failedWith(error, code),
  )

async function until(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise((resolve) => setTimeout(resolve, 10))
}

describe('a program', () => {
  it('answers with its exit code and both outputs', async () => {
    const result = await runProgram(
      { name: 'talk', command: node('console.log("out"); console.error("err"); process.exit(3)') },
      never,
    )
    expect(result).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n', log: undefined })
  })

  it('reads what it is given and then the end', async () => {
    const result = await runProgram({ name: 'cat', command: ['cat'], input: 'héllo' }, never)
    expect(result.stdout).toBe('héllo\n')
  })

  it('may end without reading what it is given', async () => {
    const result = await runProgram({ name: 'true', command: ['true'], input: 'x'.repeat(1_000_000) }, never)
    expect(result.exitCode).toBe(0)
  })

  it('gets its arguments as they are, and no shell looks at them', async () => {
    const result = await runProgram({ name: 'echo', command: ['printf', '%s|', '$HOME;*', "a 'b", '-'] }, never)
    expect(result.stdout).toBe("$HOME;*|a 'b|-|\n")
  })

  it('sees the allow-listed variables and those it was given, nothing else', async () => {
    process.env.HEADGATE_TEST_LEAK = 'x'
    const result = await runProgram({ name: 'env', command: ['env'], env: { GIVEN: 'yes' } }, never)
    delete process.env.HEADGATE_TEST_LEAK
    const names = result.stdout.split('\n').map((line) => line.split('=')[0])
    expect(names).toContain('GIVEN')
    expect(names.filter((name) => !/^(PATH|HOME|LANG|LC_ALL|TZ|TMPDIR|GIVEN|)$/.test(name ?? ''))).toEqual([])
  })

  it('that is missing is named', async () => {
    await expect(runProgram({ name: 'x', command: ['no-such-tool'] }, never)).rejects.toThrow(
      'no-such-tool was not found',
    )
    expect(await codeOf(runProgram({ name: 'x', command: ['/no/such'] }, never), 'ToolMissing')).toBe(true)
  })

  it('that is no program is missing too', async () => {
    const path = join(folder, 'text')
    writeFileSync(path, 'hello')
    chmodSync(path, 0o644)
    expect(await codeOf(runProgram({ name: 'x', command: [path] }, never), 'ToolMissing')).toBe(true)
    expect(await codeOf(runProgram({ name: 'x', command: [folder] }, never), 'ToolMissing')).toBe(true)
  })

  it('in a folder that is gone does not start', async () => {
    await expect(runProgram({ name: 'x', command: ['true'], cwd: join(folder, 'gone') }, never)).rejects.toThrow()
  })

  it('killed by a signal has the exit code a shell would show', async () => {
    const result = await runProgram({ name: 'x', command: node('process.kill(process.pid, "SIGKILL")') }, never)
    expect(result.exitCode).toBe(137)
  })
})

describe('output', () => {
  it('holds no secret, given, in a variable, or in a URL of a variable', async () => {
    const env = { DATABASE_URL: 'postgres://app:p%40ss-url@h/d', API_TOKEN: 'tok-en', PLAIN: 'plain' }
    const script =
      'console.log("a given-1 b", process.env.DATABASE_URL, "p@ss-url p%40ss-url", process.env.API_TOKEN, process.env.PLAIN)'
    const shown: string[] = []
    const result = await runProgram(
      {
        name: 'x',
        command: node(script),
        env,
        secrets: ['given-1'],
        logDirectory: folder,
        onLine: (line) => shown.push(line),
      },
      never,
    )
    const log = readFileSync(result.log ?? '', 'utf8')
    for (const text of [result.stdout, log, shown.join()]) {
      expect(text).not.toMatch(/given-1|ss-url|tok-en/)
      expect(text).toContain('plain')
    }
  })

  it('hides a key of many lines', async () => {
    const key = '-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----'
    const result = await runProgram({ name: 'x', command: ['cat'], input: key, secrets: [key] }, never)
    expect(result.stdout).not.toMatch(/abcdef|mnop/)
  })

  it('hides a secret across the cut of an endless line', async () => {
    const script = 'for (let i = 0; i < 300000; i++) process.stdout.write("sEcReT-123")'
    const result = await runProgram(
      { name: 'x', command: node(script), secrets: ['sEcReT-123'], logDirectory: folder },
      never,
    )
    expect(readFileSync(result.log ?? '', 'utf8')).not.toMatch(/[sEcRT1]/)
  })

  it('is free of control characters and broken UTF-8', async () => {
    const script =
      'process.stdout.write(Buffer.from([0x61, 0x1b, 0x5b, 0x33, 0x31, 0x6d, 0xff, 0x62, 0x00, 0x07, 0x0a]))'
    const result = await runProgram({ name: 'x', command: node(script) }, never)
    expect(result.stdout).toBe('a\ufffdb\n')
  })

  it('keeps the last 8 KiB, and all of it in a log that only its owner reads', async () => {
    const script = 'for (let i = 0; i < 20000; i++) console.log("line " + i)'
    const result = await runProgram(
      { name: 'Many lines!', command: node(script), logDirectory: join(folder, 'logs') },
      never,
    )
    expect(Buffer.byteLength(result.stdout)).toBeLessThanOrEqual(8192)
    expect(result.stdout.endsWith('line 19999\n')).toBe(true)
    const log = readFileSync(result.log ?? '', 'utf8')
      .trimEnd()
      .split('\n')
    expect([log.length, log[0], log.at(-1)]).toEqual([20000, 'line 0', 'line 19999'])
    expect(statSync(result.log ?? '').mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'logs')).mode & 0o777).toBe(0o700)
  })

  it('of 100 MB without a newline leaves memory flat', async () => {
    const script =
      'const b = Buffer.alloc(1e6, 120); let n = 0; const w = () => { while (n++ < 100) if (!process.stdout.write(b)) return process.stdout.once("drain", w) }; w()'
    const before = process.memoryUsage().rss
    let most = 0
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20)
    const result = await runProgram({ name: 'x', command: node(script) }, never)
    clearInterval(timer)
    expect(result.stdout.length).toBe(8192)
    expect(most - before).toBeLessThan(150e6)
  }, 60_000)

  it('as printed goes to who parses it', async () => {
    const raw: string[] = []
    await runProgram(
      {
        name: 'x',
        command: node('console.log("abc"); console.error("err")'),
        secrets: ['abc'],
        onAnswer: (l) => raw.push(l),
      },
      never,
    )
    expect(raw).toEqual(['abc'])
  })

  it('that cannot be logged fails nothing', async () => {
    const file = join(folder, 'a-file')
    writeFileSync(file, '')
    const result = await runProgram({ name: 'x', command: ['echo', 'hi'], logDirectory: file }, never)
    expect(result).toMatchObject({ exitCode: 0, log: undefined })
  })
})

describe('a process group', () => {
  const stubborn =
    'process.on("SIGTERM", () => {}); require("child_process").spawn("sleep", ["300"]); console.log("up"); setInterval(() => {}, 1000)'

  it('is ended whole when the signal aborts, by KILL where TERM does not help', async () => {
    const { fence, lose } = losable()
    const running = runFenced({ name: 'x', command: node(stubborn), graceMs: 200, onLine: lose }, fence)
    await expect(running).rejects.toThrow('a later attempt has taken over')
    expect(fence.processes).toHaveLength(1)
    expect(isAlive(fence.processes[0]?.pid ?? 0)).toBe(false)
  })

  it('is ended whole when time is over', async () => {
    const fence = new OpenFence()
    const running = runFenced({ name: 'slow tool', command: node(stubborn), graceMs: 100, timeoutMs: 300 }, fence)
    expect(await codeOf(running, 'ToolTimedOut')).toBe(true)
    expect(isAlive(fence.processes[0]?.pid ?? 0)).toBe(false)
  })

  it('is ended when its leader ended and left others', async () => {
    const fence = new OpenFence()
    const script = 'require("child_process").spawn("sleep", ["300"], { stdio: "inherit" }).unref(); process.exit(0)'
    const result = await runFenced({ name: 'x', command: node(script) }, fence)
    expect(result.exitCode).toBe(0)
    expect(isAlive(fence.processes[0]?.pid ?? 0)).toBe(false)
  })

  it('begins only once it is recorded', async () => {
    const path = join(folder, 'begun')
    let record = (): void => {}
    const recorded = new Promise<void>((resolve) => {
      record = resolve
    })
    class SlowFence extends OpenFence {
      override async recordProcess(pid: number, startTime: string): Promise<void> {
        await super.recordProcess(pid, startTime)
        await recorded
      }
    }
    const fence = new SlowFence()
    const running = runFenced({ name: 'x', command: ['touch', path] }, fence)
    await until(() => fence.processes.length > 0)
    await pause(300)
    expect(existsSync(path)).toBe(false)
    record()
    expect(await running).toMatchObject({ exitCode: 0 })
    expect(existsSync(path)).toBe(true)
  })

  it('does nothing where we die before it is recorded', async () => {
    const path = join(folder, 'never')
    const run = new URL('../../../dist/adapters/process/run.js', import.meta.url).href
    const fences = new URL('../../../dist/domain/scratch-fence.js', import.meta.url).href
    const ours = `import { runFenced } from '${run}'
      import { ScratchFence } from '${fences}'
      const fence = new ScratchFence('hg:00000000:1:test', () => {}, new AbortController().signal)
      fence.recordProcess = (pid) => { console.log(pid); process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}) }
      await runFenced({ name: 'x', command: ['touch', ${JSON.stringify(path)}] }, fence)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', ours], { stdio: ['ignore', 'pipe', 'inherit'] })
    const said = new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data))))
    await new Promise((resolve) => child.once('exit', resolve))
    const group = Number(await said)
    await until(() => !isAlive(group))
    expect(existsSync(path)).toBe(false)
  })

  it('goes with us, whole, where we exit without waiting for it', async () => {
    const run = new URL('../../../dist/adapters/process/run.js', import.meta.url).href
    const ours = `import { runProgram } from '${run}'
      const onLine = (pid) => { console.log(pid); process.exit(3) }
      const tool = ${JSON.stringify(stubborn.replace('console.log("up")', 'console.log(process.pid)'))}
      await runProgram({ name: 'x', command: [process.execPath, '-e', tool], onLine }, new AbortController().signal)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', ours], { stdio: ['ignore', 'pipe', 'inherit'] })
    const said = new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data))))
    await new Promise((resolve) => child.once('exit', resolve))
    const group = Number(await said)
    expect(group).toBeGreaterThan(0)
    await until(() => !isAlive(group))
  })

  it('is not waited for where a process left it and holds the pipe', async () => {
    const script =
      'console.log("hi"); const c = require("child_process").spawn("sleep", ["300"], { stdio: "inherit", detached: true }); console.log(c.pid); c.unref(); process.exit(0)'
    const result = await runProgram({ name: 'x', command: node(script) }, never)
    const [said, daemon] = result.stdout.split('\n')
    process.kill(Number(daemon), 'SIGKILL')
    expect(said).toBe('hi')
  })

  it('never starts under a lost fence', async () => {
    const { fence, lose } = losable()
    lose()
    const path = join(folder, 'touched')
    await expect(runFenced({ name: 'x', command: ['touch', path] }, fence)).rejects.toThrow('a later attempt')
    expect(() => statSync(path)).toThrow()
  })

  it('reads its input only once it is recorded, and is ended when it cannot be', async () => {
    const fence = new (class extends OpenFence {
      override async recordProcess(pid: number, startTime: string): Promise<void> {
        await super.recordProcess(pid, startTime)
        throw new Error('journal is gone')
      }
    })()
    const path = join(folder, 'written')
    const script = `process.stdin.on("data", () => require("fs").writeFileSync(${JSON.stringify(path)}, ""))`
    await expect(runFenced({ name: 'x', command: node(script), input: 'go' }, fence)).rejects.toThrow('journal is gone')
    expect(() => statSync(path)).toThrow()
    expect(isAlive(fence.processes[0]?.pid ?? 0)).toBe(false)
  })

  it('is recorded with the start time its process has', async () => {
    const fence = new OpenFence()
    let seen = ''
    await runFenced(
      {
        name: 'x',
        command: node('console.log("up"); setTimeout(() => {}, 200)'),
        onLine: () => (seen = startTimeOf(fence.processes[0]?.pid ?? 0)),
      },
      fence,
    )
    expect(seen).toMatch(/^\d+$/)
    expect(fence.processes[0]?.startTime).toBe(seen)
  })

  it('recorded by an older attempt is ended by its id and start time, twice is fine', async () => {
    const child = spawn(process.execPath, ['-e', stubborn], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const group = { pid: child.pid ?? 0, startTime: startTimeOf(child.pid ?? 0) }
    await endProcessGroup({ ...group, startTime: '1' }, 100)
    expect(isAlive(group.pid)).toBe(true)
    await Promise.all([endProcessGroup(group, 100), endProcessGroup(group, 100)])
    await endProcessGroup(group, 100)
    expect(isAlive(group.pid)).toBe(false)
  })

  it('whose leader is gone is ended where its members carry a name of ours', async () => {
    const leader =
      'const c = require("child_process").spawn("sleep", ["300"], { stdio: "ignore" }); console.log(c.pid); setTimeout(() => process.exit(), 50)'
    const child = spawn(process.execPath, ['-e', leader], {
      detached: true,
      env: { ...process.env, PGAPPNAME: 'hg:1:2:migrate' },
    })
    const group = { pid: child.pid ?? 0, startTime: startTimeOf(child.pid ?? 0) }
    await new Promise((resolve) => child.once('exit', resolve))
    expect(isAlive(group.pid)).toBe(true)
    await endProcessGroup(group, 100)
    expect(isAlive(group.pid)).toBe(false)
  })

  it('dies with its worker, even by SIGKILL', async () => {
    const source = join(import.meta.dirname, '../../../src/adapters/process/run.ts')
    const script = `import { runProgram } from ${JSON.stringify(source)}; runProgram({ name: 'x', command: ['sleep', '300'] }, new AbortController().signal)`
    const path = join(folder, 'worker.mts')
    writeFileSync(path, script)
    const worker = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), path], { stdio: 'inherit' })
    const children = async (): Promise<string[]> =>
      (await promisify(execFile)('ps', ['-o', 'pid=,args=', '--ppid', String(worker.pid)])).stdout
        .split('\n')
        .filter((l) => l.includes('sleep 300'))
    let found: string[] = []
    while (found.length === 0) found = await children().catch(() => [])
    worker.kill('SIGKILL')
    const pid = Number.parseInt(found[0] ?? '', 10)
    await until(() => !isAlive(pid))
  }, 30_000)
})
