import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createService } from '../../../src/adapters/service/index.js'
import type { ServiceConfiguration } from '../../../src/domain/configuration.js'
import { failedWith } from '../../../src/domain/failures.js'
import { OpenFence } from '../../support/open-fence.js'
import { type ProgramFolder, programFolder } from '../../support/program-folder.js'
import { HERE } from '../../support/reach.js'
import { type ServiceFixture, serviceContract } from './contract.js'

const signal = new AbortController().signal

const DAEMON = 'echo $$ > pid; while :; do sleep 0.05; done'
/** A process that nobody reaps stays as a zombie: it does not run. */
const RUNS = `runs() { [ -s pid ] && kill -0 "$(cat pid)" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$(cat pid)/status"; }`
const STOP = `${RUNS}
runs && kill "$(cat pid)"
while runs; do sleep 0.02; done
rm -f pid`
/** As service managers do: the daemon leaves the group and the outputs of the program that starts it, which waits for that. */
const START = `${RUNS}
[ -s deployed ] || exit 4
runs && exit 0
setsid ./daemon < /dev/null > /dev/null 2>&1 &
until runs; do sleep 0.02; done`
const STATUS = `${RUNS}
echo "looking at $(pwd)"
runs && state=running || state=stopped
printf '{"state":"%s","since":"a while"}\\n' "$state"`
const DEPLOY = `case "$1" in v1|v2) ;; *) echo "no image $1" >&2; exit 5 ;; esac
[ "$(cat deployed 2>/dev/null)" = "$1" ] || ./stop
printf '%s' "$1" > deployed
./start`

type Command = Extract<ServiceConfiguration, { kind: 'command' }>

function serviceIn(folder: ProgramFolder, more: Partial<Command> = {}, secrets: string[] = []) {
  const configuration: Command = { kind: 'command', deploy: ['true'], within: 20_000, ...more }
  return createService('api', configuration, { directory: folder.path, secrets }, HERE)
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function contents(folder: ProgramFolder, name: string): string {
  try {
    return readFileSync(join(folder.path, name), 'utf8').trim()
  } catch {
    return ''
  }
}

async function fixture(): Promise<ServiceFixture> {
  const folder = programFolder()
  folder.script('daemon', DAEMON)
  const service = serviceIn(folder, {
    deploy: [folder.script('deploy', DEPLOY), '{tag}'],
    start: [folder.script('start', START)],
    stop: [folder.script('stop', STOP)],
    current: [folder.script('current', 'cat deployed 2>/dev/null; exit 0')],
    status: [folder.script('status', STATUS)],
    exists: [folder.script('exists', 'case "$1" in v1|v2) exit 0 ;; *) exit 1 ;; esac'), '{tag}'],
  })
  const pid = (): number => Number(contents(folder, 'pid'))
  return {
    service,
    running: () => (pid() > 0 && isAlive(pid()) ? contents(folder, 'deployed') : undefined),
    close: async () => {
      await service.stop(new OpenFence())
      folder.remove()
    },
  }
}

serviceContract('command', fixture)

describe('a command service', () => {
  let folder: ProgramFolder
  const fence = new OpenFence()

  beforeEach(() => {
    folder = programFolder()
  })
  afterEach(() => folder.remove())

  it('goes on after the program that started it has ended, and may still write to its outputs', async () => {
    folder.script('daemon', 'echo $$ > pid; while :; do echo tick; echo tick >&2; echo tick >> ticks; sleep 0.02; done')
    folder.script('stop', STOP)
    const start = folder.script('start', './daemon & until [ -s ticks ]; do sleep 0.02; done')
    const service = serviceIn(folder, { start: [start], stop: ['./stop'] })
    await service.start(fence)
    const before = contents(folder, 'ticks').length
    await expect.poll(() => contents(folder, 'ticks').length, { timeout: 10_000 }).toBeGreaterThan(before + 50)
    await service.stop(fence)
    expect(isAlive(Number(contents(folder, 'pid')))).toBe(false)
  })

  it('leaves nothing running when its deploy fails', async () => {
    folder.script('daemon', DAEMON)
    const deploy = folder.script(
      'deploy',
      './daemon & until [ -s pid ]; do sleep 0.02; done; echo "not healthy" >&2; exit 1',
    )
    await expect(serviceIn(folder, { deploy: [deploy] }).deploy('v1', fence)).rejects.toThrow(
      'service api: deploy ended with exit code 1: not healthy',
    )
    expect(isAlive(Number(contents(folder, 'pid')))).toBe(false)
  })

  it('leaves nothing running when its deploy takes too long', async () => {
    const deploy = folder.script('deploy', 'sleep 60 & echo $! > pid; wait')
    const error = await serviceIn(folder, { deploy: [deploy], within: 500 })
      .deploy('v1', fence)
      .catch((thrown: unknown) => thrown)
    expect(failedWith(error, 'ToolTimedOut')).toBe(true)
    expect(isAlive(Number(contents(folder, 'pid')))).toBe(false)
  })

  it('puts the tag inside single arguments, wherever it stands in them', async () => {
    const deploy = folder.script('deploy', `for argument in "$@"; do printf '<%s>' "$argument"; done > arguments`)
    await serviceIn(folder, { deploy: [deploy, '--image=shop:{tag}', '{tag}-{tag}', 'plain'] }).deploy('v1', fence)
    expect(contents(folder, 'arguments')).toBe('<--image=shop:v1><v1-v1><plain>')
  })

  it.each([
    [{}, false],
    [{ start: ['true'] }, false],
    [{ stop: ['true'] }, false],
    [{ start: ['true'], stop: ['true'] }, true],
  ])('with %j can be stopped: %s', (commands, canStop) => {
    expect(serviceIn(folder, commands).canStop).toBe(canStop)
  })

  it('knows neither its tag, nor whether it runs, nor what exists where no program tells', async () => {
    const service = serviceIn(folder)
    expect(await service.current(signal)).toBeUndefined()
    expect(await service.isRunning(signal)).toBeUndefined()
    expect(await service.exists('v1', signal)).toBeUndefined()
  })

  it.each(['two words', 'v1\nv2', 'error: no such container'])(
    'is not believed when its current tag is %j',
    async (printed) => {
      const current = folder.script('current', `printf '%s\\n' "$1"`)
      await expect(serviceIn(folder, { current: [current, printed] }).current(signal)).rejects.toThrow('not a tag')
    },
  )

  it.each(['running', '{"state":"starting"}', '{"state":true}', '', '{"state":"running"}\nhunter2-secret'])(
    'is not believed when its status is %j',
    async (printed) => {
      const status = folder.script('status', `printf '%s\\n' "$1"`)
      const error = await serviceIn(folder, { status: [status, `${printed}`] }, ['hunter2-secret'])
        .isRunning(signal)
        .catch((thrown: unknown) => thrown)
      expect(failedWith(error, 'ServiceFailed')).toBe(true)
      expect(String(error)).toContain('service api: status printed neither running nor stopped')
      expect(String(error)).not.toContain('hunter2-secret')
    },
  )

  it('does not take a failing status for a stopped service', async () => {
    const status = folder.script('status', `echo '{"state":"stopped"}'; echo "no daemon" >&2; exit 3`)
    await expect(serviceIn(folder, { status: [status] }).isRunning(signal)).rejects.toThrow(
      'service api: status ended with exit code 3: no daemon',
    )
  })

  it('does not take a program that cannot tell for a no', async () => {
    const exists = folder.script('exists', 'echo "registry unreachable" >&2; exit 2')
    await expect(serviceIn(folder, { exists: [exists, '{tag}'] }).exists('v1', signal)).rejects.toThrow(
      'service api: exists ended with exit code 2: registry unreachable',
    )
  })

  it('does not take a failing program for a service without a tag', async () => {
    const current = folder.script('current', 'exit 1')
    await expect(serviceIn(folder, { current: [current] }).current(signal)).rejects.toThrow('it said nothing')
  })

  it('says which command it lacks', async () => {
    await expect(serviceIn(folder).stop(fence)).rejects.toThrow('service api has no stop command')
  })

  it('refuses a {tag} where there is none to put', async () => {
    await expect(serviceIn(folder, { start: ['run', '{tag}'] }).start(fence)).rejects.toThrow('gets no {tag}')
  })

  it('shows no secret of what a program said', async () => {
    const deploy = folder.script('deploy', 'echo "login with hunter2-secret failed" >&2; exit 1')
    const error = await serviceIn(folder, { deploy: [deploy] }, ['hunter2-secret'])
      .deploy('v1', fence)
      .catch((thrown: unknown) => thrown)
    expect(String(error)).toContain('login with *** failed')
    expect(JSON.stringify(error)).not.toContain('hunter2-secret')
  })
})
