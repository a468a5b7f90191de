import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../src/adapters/process/free-port.js'
import { FAILURES } from '../../src/domain/failures.js'
import { temporalAddress } from '../support/ground.js'

const HEADGATE = fileURLToPath(new URL('../../bin/headgate.js', import.meta.url))
const FILE = `name: shop
environments:
  staging: { url: "\${env:STAGING_URL}" }
  production: { url: "\${env:PRODUCTION_URL}", queue: shop-workers }
`

let empty: string
let beside: string
let nobody: string

beforeAll(async () => {
  empty = await mkdtemp(join(tmpdir(), 'headgate-empty-'))
  beside = await mkdtemp(join(tmpdir(), 'headgate-beside-'))
  await writeFile(join(beside, 'headgate.yaml'), FILE)
  nobody = `127.0.0.1:${await freePort()}`
})
afterAll(async () => {
  for (const folder of [empty, beside]) await rm(folder, { recursive: true, force: true })
})

interface Said {
  exit: number
  out: string
  err: string
}

/** Runs the command as a person would, with nothing in the environment but what is given. */
function headgate(
  args: string[],
  { cwd = empty, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Said> {
  const alone = { PATH: process.env.PATH ?? '', HOME: empty, HEADGATE_USER: 'ana', ...env }
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [HEADGATE, ...args], { cwd, env: alone }, (_, out, err) =>
      resolve({ exit: child.exitCode ?? -1, out, err }),
    )
    child.stdin?.end()
  })
}

test('bare headgate shows the way in a few lines', async () => {
  const { exit, out, err } = await headgate([])
  expect(exit).toBe(0)
  expect(err).toBe('')
  expect(out).toContain('headgate deploy staging --tag 2')
  expect(out.trimEnd().split('\n').length).toBeLessThan(12)
})

test('the help lists every command and every exit code', async () => {
  const { exit, out } = await headgate(['--help'])
  expect(exit).toBe(0)
  const commands =
    'deploy migrate plan info status watch history approve reject hold continue retry cancel rollback recover backup backups restore report doctor config schema explain worker dev demo'
  for (const name of commands.split(' ')) expect(out).toMatch(new RegExp(`^  ${name} `, 'm'))
  for (const code of [
    '0 done',
    '3 waiting for approval',
    '6 needs an operator',
    '9 no Temporal',
    '130 the viewer left',
  ])
    expect(out).toContain(code)
})

test.each([['deploy'], ['plan'], ['status'], ['approve'], ['recover'], ['backups'], ['restore'], ['worker']])(
  'headgate %s --help tells its options and how to answer in JSON',
  async (name) => {
    const { exit, out } = await headgate([name, '--help'])
    expect(exit).toBe(0)
    expect(out).toContain(`Usage: headgate ${name} `)
    expect(out).toContain('-o, --output <format>')
  },
)

test.each<[string, string[], string]>([
  ['a command that is none', ['deplyo'], "unknown command 'deplyo' (Did you mean deploy?)"],
  ['an option that is none', ['deploy', 'staging', '--tga', '2'], "unknown option '--tga' (Did you mean --tag?)"],
  ['no tag', ['deploy', 'staging'], 'which release? add --tag TAG'],
  ['no environment', ['plan'], "missing required argument 'environment'"],
  ['too much', ['info', 'staging', 'production'], "too many arguments for 'info'"],
  ['a tag that is none', ['deploy', 'staging', '--tag', '-rf', '--project', 'shop'], '--tag "-rf": a tag is'],
  ['a tag with a slash', ['plan', 'staging', '--tag', 'a/b', '--project', 'shop'], '--tag "a/b": a tag is'],
  [
    'a digest that is none',
    ['deploy', 'staging', '--tag', '2', '--digest', 'abc', '--project', 'shop'],
    '--digest: the plan',
  ],
  [
    'a wait that is none',
    ['deploy', 'staging', '--tag', '2', '--wait=soon', '--project', 'shop'],
    '--wait "soon": write it like 30m',
  ],
  [
    'detach and wait',
    ['deploy', 'staging', '--tag', '2', '--detach', '--wait'],
    '--detach and --wait exclude each other',
  ],
  ['an environment that is no name', ['status', '../etc', '--project', 'shop'], '"../etc" names no environment or run'],
  ['a project that is no name', ['status', 'staging', '--project', 'Shop!'], '--project: a name is'],
  ['no project and no file', ['status', 'staging'], 'which project?'],
  ['an output that is none', ['status', '-o', 'xml'], 'xml'],
  [
    'two ways to recover',
    ['recover', 'staging', '--finish', '--accept', '--project', 'shop'],
    'choose one of --finish, --accept',
  ],
  ['no backup to show', ['backups', 'show', 'staging', '--project', 'shop'], 'headgate backups list staging'],
  [
    'a build that is none',
    ['worker', '--build-id', '../x', '--config', 'headgate.yaml'],
    '--build-id ../x: 1 to 128 of letters',
  ],
  [
    'a build for a worker that carries no runs',
    ['worker', '--queue', 'web-host', '--build-id', '7', '--config', 'headgate.yaml'],
    'with --queue leave it out',
  ],
  [
    'a health address that is none',
    ['worker', '--health', 'here', '--config', 'headgate.yaml'],
    '--health here: write it like 127.0.0.1:8090',
  ],
])('%s is exit 1, said on standard error, with nothing started', async (_, args, what) => {
  const { exit, out, err } = await headgate(args, { env: { TEMPORAL_ADDRESS: nobody } })
  expect(err).toMatch(/^error E100: /)
  expect(err).toContain(what)
  expect(err).not.toMatch(/\n\s+at /)
  expect({ exit, out }).toEqual({ exit: 1, out: '' })
})

test('a worker for services that no environment has on another host is refused, with those that are', async () => {
  const env = { TEMPORAL_ADDRESS: nobody }
  const { exit, err } = await headgate(['worker', '--queue', 'web-host'], { cwd: beside, env })
  expect(exit).toBe(1)
  expect(err).toContain('error E101: no service of headgate.yaml has queue: web-host; none has a queue')
})

test('an environment that the file does not name is told with the nearest one', async () => {
  const { exit, err } = await headgate(['deploy', 'stagign', '--tag', '2'], {
    cwd: beside,
    env: { TEMPORAL_ADDRESS: nobody },
  })
  expect(exit).toBe(1)
  expect(
    err,
  ).toBe(`error E103: headgate.yaml: unknown environment "stagign", did you mean "staging"? (known: staging, production)
  changed   nothing
  do        use one of the environments in headgate.yaml
`)
})

test('a key that is none is told with its line and column, whatever the command', async () => {
  await writeFile(join(empty, 'wrong.yaml'), FILE.replace('queue:', 'qeue:'))
  for (const command of [['status', 'staging'], ['config', 'staging'], ['worker'], ['dev']]) {
    const { exit, err } = await headgate([...command, '--config', 'wrong.yaml'], { env: { TEMPORAL_ADDRESS: nobody } })
    expect(err).toMatch(
      /^error E101: wrong\.yaml:4:\d+: unknown key "qeue" in environments\.production, did you mean "queue"\?\n/,
    )
    expect(exit).toBe(1)
  }
})

test('a file that was named and is not there is an error; ./headgate.yaml may be missing', async () => {
  const { exit, err } = await headgate(['config', 'staging', '--config', 'absent.yaml'])
  expect(err).toMatch(/^error E101: absent\.yaml: no such file\n/)
  expect(exit).toBe(1)
})

test('who starts dev where no headgate.yaml is, is told to go where it is, or how to write one', async () => {
  const { exit, err } = await headgate(['dev'])
  expect(err).toBe(`error E101: headgate.yaml: no such file
  changed   nothing
  do        go to the folder that holds it, name it with --config, or write it: four lines are enough

    name: shop
    environments:
      staging:
        url: \${env:STAGING_DATABASE_URL}
`)
  expect(exit).toBe(1)
})

test('without Temporal it is exit 9 and says where it looked', async () => {
  const { exit, out, err } = await headgate(['deploy', 'staging', '--tag', '2', '--project', 'shop'], {
    env: { TEMPORAL_ADDRESS: nobody },
  })
  expect(err).toMatch(new RegExp(`^error E110: cannot reach Temporal at ${nobody}: `))
  expect(err).toContain('do        start `headgate dev`, or set TEMPORAL_ADDRESS')
  expect({ exit, out }).toEqual({ exit: 9, out: '' })
})

test.each([
  ['deploy', ['deploy', 'staging', '--tag', '2']],
  ['plan', ['plan', 'staging']],
  ['approve', ['approve', 'staging']],
  ['cancel', ['cancel', 'staging-20261120-103015']],
  ['recover', ['recover', 'staging']],
])('without a worker %s is exit 9 and names the queue', async (_, args) => {
  const { exit, err } = await headgate([...args, '--project', 'nobody'], {
    env: { TEMPORAL_ADDRESS: await temporalAddress() },
  })
  expect(err).toBe(`error E111: no worker polls headgate-nobody-staging
  changed   nothing
  do        ${FAILURES.WorkerMissing.hint}
`)
  expect(exit).toBe(9)
})

test.each([
  ['deploy', ['deploy', 'staging', '--tag', '2']],
  ['worker', ['worker']],
])('%s does not speak to a Temporal elsewhere in clear text', async (_, args) => {
  const { exit, err } = await headgate(args, { cwd: beside, env: { TEMPORAL_ADDRESS: '10.255.255.1:7233' } })
  expect(err).toContain('error E101: Temporal at 10.255.255.1:7233 would be spoken to in clear text')
  expect(err).toContain('set TEMPORAL_TLS=true')
  expect(exit).toBe(1)
})

test('the queue is the one that the file beside names', async () => {
  const { err } = await headgate(['info', 'production'], {
    cwd: beside,
    env: { TEMPORAL_ADDRESS: await temporalAddress() },
  })
  expect(err).toContain('no worker polls shop-workers')
})

test('where nothing ran yet the status says so and is exit 0', async () => {
  const env = { TEMPORAL_ADDRESS: await temporalAddress() }
  const { exit, out } = await headgate(['status', '--exit-status'], { cwd: beside, env })
  expect(out).toBe(`staging: no run is known to Temporal
  next  headgate plan staging --tag TAG

production: no run is known to Temporal
  next  headgate plan production --tag TAG
`)
  expect(exit).toBe(0)
  const json = await headgate(['status', '-o', 'json'], { cwd: beside, env })
  expect(JSON.parse(json.out)).toEqual({
    schema: 'headgate/status/1',
    environments: [
      { environment: 'staging', state: 'none' },
      { environment: 'production', state: 'none' },
    ],
  })
})

test('the doctor names the environments whose worker is away, and is exit 9', async () => {
  const { exit, out } = await headgate(['doctor'], { cwd: beside, env: { TEMPORAL_ADDRESS: await temporalAddress() } })
  expect(out).toContain('no  worker                no worker polls headgate-shop-staging')
  expect(out).toContain('no  worker                no worker polls shop-workers')
  expect(exit).toBe(9)
})

test('with -o json an error is one object on standard output', async () => {
  const { exit, out, err } = await headgate(['status', 'stagign', '-o', 'json'], { cwd: beside })
  expect({ exit, err }).toEqual({ exit: 1, err: '' })
  expect(JSON.parse(out)).toEqual({
    error: {
      code: 'E103',
      what: 'headgate.yaml: unknown environment "stagign", did you mean "staging"? (known: staging, production)',
      changed: 'nothing',
      consumers: 'as they were',
      next: 'use one of the environments in headgate.yaml',
    },
  })
})

test('a stack is shown where it was asked for, on standard error, and nowhere else', async () => {
  const { out, err } = await headgate(['status', 'x/y', '--project', 'shop', '-o', 'json'], {
    env: { HEADGATE_DEBUG: '1' },
  })
  expect(JSON.parse(out)).toHaveProperty('error.code', 'E100')
  expect(err).toMatch(/\n\s+at /)
})

test('config shows an environment with defaults, its references as they are written', async () => {
  const { exit, out } = await headgate(['config', 'production'], { cwd: beside })
  expect(exit).toBe(0)
  expect(out).toMatch(/^url: \$\{env:PRODUCTION_URL\}$/m)
  expect(out).toContain('protected: true')
  const json = await headgate(['config', 'production', '-o', 'json'], { cwd: beside })
  expect(JSON.parse(json.out)).toMatchObject({ schema: 'headgate/config/1', queue: 'shop-workers', heartbeat: '10s' })
})

test('schema prints one JSON Schema', async () => {
  const { exit, out } = await headgate(['schema'])
  expect(exit).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ title: 'headgate.yaml', type: 'object' })
})

test('explain tells a code by its number or its name, in any case', async () => {
  const { out } = await headgate(['explain', 'e204'])
  expect(out).toBe(`E204 BackupFailed
  means    No backup was taken, or it could not be proven valid: nothing is migrated without one.
  cause    a fault
  again    the step is tried again by itself
  do       ${FAILURES.BackupFailed.hint}
`)
  expect((await headgate(['explain', 'backupfailed'])).out).toBe(out)
})

test('explain alone lists every code, and one that is none is told with the nearest', async () => {
  const { out } = await headgate(['explain'])
  for (const { code } of Object.values(FAILURES)) expect(out).toContain(code)
  const { exit, err } = await headgate(['explain', 'BackupFialed'])
  expect(err).toContain('no error code "BackupFialed", did you mean BackupFailed?')
  expect(exit).toBe(1)
})
