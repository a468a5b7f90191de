// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in configuration files look like this
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  describeEnvironment,
  environmentNames,
  knownSecrets,
  parseConfiguration,
  projectName,
  readConfigurationFile,
  resolveEnvironment,
} from '../../../src/adapters/configuration/index.js'
import { failedWith, messageOf } from '../../../src/domain/failures.js'
import { redact } from '../../../src/domain/text.js'

const SMALLEST = `name: shop
environments:
  production:
    url: \${env:PRODUCTION_DATABASE_URL}
`
const URL = 'postgres://ana:p%40ss%20word@db/shop'
const env = {
  PRODUCTION_DATABASE_URL: URL,
  STAGING_DATABASE_URL: 'postgres://db/shop',
  HOOK: 'https://hook.example.com/T0K3N',
}

const EXAMPLE = `name: shop
migrator: { kind: alembic, config: db/alembic.ini, command: [uv, run, alembic] }
backup: { kind: auto, to: "file:///srv/shop-backups" }
consumers:
  orders: { kind: http, pause: "http://connect:8083/pause", resume: "http://connect:8083/resume", status: "http://connect:8083/status" }
services:
  api: { kind: command, deploy: [deploy-api, "{tag}"], ready: { url: "http://localhost:8080/readyz", within: 3m } }
verify:
  - { name: no orphan orders, sql: "select count(*) from orders where customer_id is null", expect: 0 }
smoke:
  - { http: "http://localhost:8080/orders/health", correlation: true }
environments:
  staging: { url: "\${env:STAGING_DATABASE_URL}", consumers: null, services: { api: { ready: { within: 10s } } } }
  production:
    url: \${env:PRODUCTION_DATABASE_URL}
    protected: true
    migrator: { dir: db }
    approval: { before: [contract], from: [ana@example.com, ben@example.com], count: 1, timeout: 3d, allowedSigners: signers }
    notify: [{ kind: webhook, url: "\${env:HOOK}" }]
`
const shop = parseConfiguration(EXAMPLE, '/srv/shop/headgate.yaml')
const resolved = (yaml: string, environment: string, more: Record<string, string> = {}) =>
  resolveEnvironment(parseConfiguration(yaml, '/srv/shop/headgate.yaml'), environment, { env: { ...env, ...more } })
const refusal = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('the smallest file', () => {
  it('resolves with every default', async () => {
    const production = await resolved(SMALLEST, 'production')
    expect(production).toMatchObject({
      project: 'shop',
      environment: 'production',
      url: URL,
      protected: true,
      migrator: { kind: 'umzug', dir: '/srv/shop/migrations', table: 'headgate_migrations' },
      backup: { kind: 'auto', jobs: 2 },
      approval: { before: ['contract'], from: [], count: 1, timeout: 259_200_000, requesterMayApprove: false },
      locks: { timeout: 100, budget: 60_000, statementTimeout: 43_200_000 },
      heartbeat: 10_000,
      quiesce: 'auto',
      onFailure: 'compensate',
    })
    expect(production.pause).toBeUndefined()
    expect(Object.isFrozen(production.locks)).toBe(true)
  })

  it('tells its names without any variable set', () => {
    const source = parseConfiguration(SMALLEST, 'headgate.yaml')
    expect([projectName(source), environmentNames(source)]).toEqual(['shop', ['production']])
  })

  it.each([
    ['production', true],
    ['prod-eu', true],
    ['staging', false],
  ])('is protected by the name %s: %s', async (name, expected) => {
    const yaml = SMALLEST.replace('production:', `${name}:`)
    expect((await resolved(yaml, name)).protected).toBe(expected)
  })

  it('may say of a production that it is not protected, and refuse backup and approvals', async () => {
    const yaml = `${SMALLEST}    protected: false\n    backup: false\n    approval: none\n`
    expect(await resolved(yaml, 'production')).toMatchObject({ protected: false, backup: false, approval: 'none' })
  })
})

describe('the example', () => {
  it('resolves for production', async () => {
    const production = await resolveEnvironment(shop, 'production', { env })
    expect(production.migrator).toEqual({
      kind: 'alembic',
      config: '/srv/shop/db/alembic.ini',
      command: ['uv', 'run', 'alembic'],
      dir: '/srv/shop/db',
      urlVariable: 'DATABASE_URL',
      table: 'alembic_version',
    })
    expect(production.approval).toMatchObject({ allowedSigners: '/srv/shop/signers', timeout: 259_200_000 })
    expect(production.notify).toEqual([{ kind: 'webhook', url: 'https://hook.example.com/T0K3N', headers: {} }])
    expect(production.verify).toMatchObject([{ expect: 0, timeout: 30_000 }])
  })

  it('merges into a service and removes consumers by null', async () => {
    const staging = await resolveEnvironment(shop, 'staging', { env })
    expect(staging.consumers).toEqual({})
    expect(staging.services.api).toMatchObject({
      deploy: ['deploy-api', '{tag}'],
      ready: { url: 'http://localhost:8080/readyz', within: 10_000 },
    })
  })

  it('is described with references as written and durations as text', () => {
    const production = describeEnvironment(shop, 'production')
    expect(production).toMatchObject({
      url: '${env:PRODUCTION_DATABASE_URL}',
      approval: { timeout: '3d', allowedSigners: '/srv/shop/signers' },
      notify: [{ kind: 'webhook', url: '${env:HOOK}', headers: {} }],
      heartbeat: '10s',
    })
  })

  it('has the same defaults described and resolved', async () => {
    const text = JSON.stringify(describeEnvironment(shop, 'staging'))
    const { project, environment, ...described } = JSON.parse(text)
    const again = `name: ${project}\nenvironments: { ${environment}: ${JSON.stringify(described)} }`
    expect(await resolved(again, 'staging')).toEqual(await resolveEnvironment(shop, 'staging', { env }))
  })
})

describe('merging', () => {
  const merged = (top: string, override: string) => resolved(`${top}\n${SMALLEST}    ${override}\n`, 'production')

  it.each([
    [
      'completes a block that does not write its kind',
      'backup: { to: "file:///a" }',
      'backup: { kind: dump }',
      { backup: { kind: 'dump', to: 'file:///a', jobs: 2 } },
    ],
    [
      'replaces a block of another kind',
      'backup: { kind: clone, to: "file:///a" }',
      'backup: { kind: dump }',
      { backup: { kind: 'dump', jobs: 2 } },
    ],
    ['replaces lists', 'verify: [{ name: a, sql: a, expect: 1 }]', 'verify: []', { verify: [] }],
    ['removes by null', 'backup: false', 'backup: null', { backup: { kind: 'auto', jobs: 2 } }],
    [
      'merges locks key by key',
      'locks: { budget: 5s }',
      'locks: { timeout: 1s }',
      { locks: { budget: 5_000, timeout: 1_000 } },
    ],
    ['overrides false by a block', 'backup: false', 'backup: { jobs: 4 }', { backup: { kind: 'auto', jobs: 4 } }],
    ['follows anchors', 'locks: &l { budget: 5s }', 'locks: *l', { locks: { budget: 5_000 } }],
  ])('%s', async (_, top, override, expected) => {
    expect(await merged(top, override)).toMatchObject(expected)
  })

  it('keeps a null that a check expects', async () => {
    const { verify } = await merged('verify: [{ name: a, sql: a, expect: null }]', 'backup: false')
    expect(verify).toMatchObject([{ expect: null }])
  })

  it('runs another tool in the file`s folder', async () => {
    const { migrator } = await merged('migrator: { kind: command, status: [s], up: [u] }', 'backup: false')
    expect(migrator).toMatchObject({ dir: '/srv/shop' })
  })

  it('leaves paths in an image as they are, and finds Compose files beside itself', async () => {
    const shipped = 'service: admin, container: { files: [compose.yaml], tagVariable: TAG }'
    const { migrator } = await merged(
      `migrator: { kind: alembic, config: db/alembic.ini, ${shipped} }`,
      'backup: false',
    )
    expect(migrator).toMatchObject({
      config: 'db/alembic.ini',
      container: { files: ['/srv/shop/compose.yaml'], directory: '/srv/shop', network: 'host' },
    })
  })
})

describe('references', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headgate-configuration-'))
    await writeFile(join(folder, 'url'), `${URL}\n`)
    await writeFile(join(folder, 'empty'), '\n')
    await mkdir(join(folder, 'folder'))
  })
  afterAll(() => rm(folder, { recursive: true }))
  const withUrl = (url: string) => SMALLEST.replace('${env:PRODUCTION_DATABASE_URL}', () => url)

  it('are read from files, absolute or beside the configuration, without the last line end', async () => {
    await writeFile(join(folder, 'headgate.yaml'), withUrl('${file:url}'))
    const source = await readConfigurationFile(join(folder, 'headgate.yaml'))
    expect((await resolveEnvironment(source, 'production', { env: {} })).url).toBe(URL)
    expect((await resolved(withUrl(`\${file:${folder}/url}`), 'production')).url).toBe(URL)
  })

  it('are asked of a command once, in the file`s folder', async () => {
    const asked: unknown[] = []
    const runCommand = async (command: readonly string[], { cwd }: { cwd: string }) => {
      asked.push([command, cwd])
      return 'a]}b\n'
    }
    const yaml = withUrl(`'postgres://x:\${command:["vault", "read", "a]}"]}@\${command:["vault","read","a]}"]}/shop'`)
    const source = parseConfiguration(yaml, '/srv/shop/headgate.yaml')
    const { url } = await resolveEnvironment(source, 'production', { env: {}, runCommand })
    expect(url).toBe('postgres://x:a]}b@a]}b/shop')
    expect(asked).toEqual([[['vault', 'read', 'a]}'], '/srv/shop']])
  })

  it('may stand inside other text, several times, and $${ stands for ${', async () => {
    const { url } = await resolved(withUrl('"host=${env:H} port=${env:P} options=$${env:X}"'), 'production', {
      H: 'db',
      P: '1',
    })
    expect(url).toBe('host=db port=1 options=${env:X}')
  })

  it('are not followed twice', async () => {
    expect((await resolved(withUrl('${env:A}'), 'production', { A: '${env:B}' })).url).toBe('${env:B}')
  })

  it('are all named where they lead nowhere, and nothing that a command printed', async () => {
    const yaml = `${withUrl('${env:NOT_SET}')}    urls: { control: "\${env:EMPTY}", backup: "\${file:/nowhere/x}", verify: '\${command:["false","hunter2"]}' }
    journal: { url: "\${file:empty}" }\n`
    const source = { ...parseConfiguration(yaml, 'headgate.yaml'), folder }
    const runCommand = () => Promise.reject(new Error('hunter2'))
    const error = await refusal(resolveEnvironment(source, 'production', { env: { EMPTY: '' }, runCommand }))
    expect(failedWith(error, 'ReferenceMissing')).toBe(true)
    expect(messageOf(error).split('\n')).toEqual([
      'headgate.yaml:4:10: environments.production.url needs the environment variable NOT_SET, which is not set',
      'headgate.yaml:5:22: environments.production.urls.control needs the environment variable EMPTY, which is empty',
      'headgate.yaml:5:46: environments.production.urls.backup needs the file /nowhere/x: no such file',
      'headgate.yaml:5:76: environments.production.urls.verify needs a command, which failed',
      'headgate.yaml:6:21: environments.production.journal.url needs the file empty, which is empty',
    ])
  })

  it('of other environments are not followed', async () => {
    expect((await resolveEnvironment(shop, 'staging', { env: { STAGING_DATABASE_URL: 'postgres://db/x' } })).url).toBe(
      'postgres://db/x',
    )
  })

  it('to commands are refused where nobody runs them', async () => {
    const error = await refusal(resolved(withUrl(`'\${command:["x"]}'`), 'production'))
    expect(messageOf(error)).toBe(
      '/srv/shop/headgate.yaml:4:10: environments.production.url needs a command, and commands are run by the worker only',
    )
  })

  it('that lead to the wrong thing are told without it', async () => {
    const error = await refusal(resolveEnvironment(shop, 'production', { env: { ...env, HOOK: 'hunter2' } }))
    expect(messageOf(error)).toBe(
      '/srv/shop/headgate.yaml:19:36: environments.production.notify[0].url is not right: a URL starts with http:// or https://',
    )
  })
})

describe('an unknown environment', () => {
  it.each([
    ['prodution', 'unknown environment "prodution", did you mean "production"? (known: staging, production)'],
    ['qa', 'unknown environment "qa" (known: staging, production)'],
    ['__proto__', 'unknown environment "__proto__" (known: staging, production)'],
  ])('%s is refused with the known ones', async (name, text) => {
    const error = await refusal(resolveEnvironment(shop, name, { env }))
    expect(messageOf(error)).toBe(`/srv/shop/headgate.yaml: ${text}`)
    expect(failedWith(error, 'EnvironmentUnknown')).toBe(true)
  })
})

describe('known secrets', () => {
  it('are what references led to and every password, raw and encoded', async () => {
    const secrets = knownSecrets(await resolveEnvironment(shop, 'production', { env }))
    expect(secrets).toEqual(expect.arrayContaining([URL, env.HOOK, 'p%40ss%20word', 'p@ss word']))
    for (const text of [`failed: p@ss word`, `at ${URL}`, 'p%40ss%20word', env.HOOK]) {
      expect(redact(text, secrets)).not.toMatch(/word|T0K3N/)
    }
  })

  it('are not what is short, nor what is written in the file', async () => {
    const secrets = knownSecrets(
      await resolved(`${SMALLEST}    queue: "\${env:Q}-workers"\n`, 'production', { Q: 'eu' }),
    )
    expect(secrets).not.toContain('eu')
    expect(secrets).not.toContain('shop')
  })

  it('of several lines are known line by line', async () => {
    const yaml = `${SMALLEST}    smoke: [{ http: "https://shop", headers: { X-Key: "\${env:K}" } }]\n`
    const secrets = knownSecrets(await resolved(yaml, 'production', { K: 'first-line\nsecond-line' }))
    expect(secrets).toEqual(expect.arrayContaining(['first-line', 'second-line', 'first-line\\nsecond-line']))
  })
})
