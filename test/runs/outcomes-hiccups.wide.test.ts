import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { type HttpServer, startHttpServer } from '../support/http-server.js'
import { World, type WorldOptions } from '../support/world.js'

let world: World
let server: HttpServer | undefined
afterEach(async () => {
  const { left } = await world.leftOvers().finally(() => world.end())
  await server?.close()
  server = undefined
  expect(left).toEqual([])
})

const EXPAND = { '0002_add_note.sql': 'alter table orders add column note text' }
const CONTRACT = { '0003_drop_item.contract.sql': 'alter table orders alter column item drop not null' }
const HALF = {
  '0002_half.sql': `-- headgate:no-transaction
    alter table orders add column half_applied boolean;
    update orders set half_applied = true;
    create unique index concurrently on orders (item)`,
}
const NOBODY_HOME = { smoke: [{ name: 'nobody home', http: 'http://127.0.0.1:4/health', within: '1s' }] }

/** Fails the first time, and notes each call in the file `calls`. */
const failsOnce = (then: string): string => `echo "$0 $*" >> calls
[ -e hiccup ] || { touch hiccup; echo "a hiccup" >&2; exit 1; }
${then}`
const DEPLOY = 'echo "$1" > current; touch running'
const START = 'touch running'

async function calls(): Promise<string[]> {
  return (await readFile(join(world.folder, 'calls'), 'utf8')).trimEnd().split('\n')
}

/** The notices, where `tell` writes them to the file `told`. */
async function told(): Promise<{ kind: string; sequence: number; text: string }[]> {
  return (await readFile(join(world.folder, 'told'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

async function run(options: WorldOptions, scripts: Record<string, string>): Promise<void> {
  world = await World.create(options)
  for (const [name, body] of Object.entries(scripts)) await world.script(name, body)
  await world.startWorker()
}

test('a service that does not start the first time, while a run is undone, is started again', async () => {
  await run({ migrations: HALF }, { start: failsOnce(START) })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(await calls()).toHaveLength(2)
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

test('a service that becomes ready a little too late, while a run is undone, is waited for again', async () => {
  server = await startHttpServer((_, response) => {
    response.writeHead((server?.received.length ?? 0) < 5 ? 503 : 200)
    response.end()
  })
  const ready = { url: `${server.url}/readyz`, within: '300ms' }
  const api = {
    kind: 'command',
    deploy: ['./bin/deploy', '{tag}'],
    start: ['./bin/start'],
    stop: ['./bin/stop'],
    current: ['./bin/current'],
    ready,
  }
  await run({ migrations: HALF, configuration: { services: { api } } }, {})
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'restored', exit: 5 })
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

test('a service that does not start for a while, while a run is undone, is told of, and then started', async () => {
  const notify = [{ kind: 'command', command: ['./bin/tell'] }]
  const start = `echo x >> starts; [ $(wc -l < starts) -gt 5 ] || exit 1\n${START}`
  await run({ migrations: HALF, configuration: { notify } }, { start, tell: 'cat >> told' })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'restored', exit: 5 })
  const told = await readFile(join(world.folder, 'told'), 'utf8')
  expect(told).toContain('release-writers failed 5 times and is tried again')
  expect(await world.serving()).toBe('1')
})

test('the previous image, if it cannot be deployed the first time, is deployed again', async () => {
  const onlyBack = `[ "$1" = 1 ] || { ${DEPLOY}; exit 0; }\n${failsOnce(DEPLOY)}`
  await run({ migrations: EXPAND, configuration: NOBODY_HOME }, { deploy: onlyBack })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect(await calls()).toHaveLength(2)
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

test('a new image that cannot be deployed is undone, not deployed again: there is a way back', async () => {
  await run({ migrations: EXPAND }, { deploy: failsOnce(DEPLOY) })
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect(ending.reason).toContain('a hiccup')
  expect((await calls()).filter((call) => call.endsWith(' 2'))).toHaveLength(1)
  expect(await world.serving()).toBe('1')
})

test('a service that does not start the first time after a contract stage is started again: there is no way back', async () => {
  const options = { migrations: { ...EXPAND, ...CONTRACT }, configuration: { approval: 'none' } }
  await run(options, { start: failsOnce(START) })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await calls()).toHaveLength(2)
  expect(await world.serving()).toBe('2')
})

test('a service that does not start the first time on a restored database is started again', async () => {
  await run({ migrations: EXPAND }, { start: failsOnce(START) })
  expect(await world.ending(await world.start('backup', {}))).toMatchObject({ outcome: 'succeeded' })
  const [taken] = await world.journal<{ name: string }>('select name from {s}.backups')
  expect(await world.ending(await world.start('restore', { backup: taken?.name }))).toMatchObject({
    outcome: 'succeeded',
    exit: 0,
  })
  expect(await calls()).toHaveLength(2)
  expect(await world.serving()).toBe('1')
})

test('a deploy that fails the first time, while a person finishes a run that was terminated, is made again', async () => {
  await run({ migrations: EXPAND }, { deploy: 'touch deploying; exec sleep 60' })
  await world.start()
  await expect.poll(() => existsSync(join(world.folder, 'deploying')), { timeout: 60_000 }).toBe(true)
  await world.handle.terminate('the test says so')
  await world.script('deploy', failsOnce(DEPLOY))
  const recovery = await world.start('recover', { recover: { choice: 'finish' } })
  expect(await world.ending(recovery)).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await calls()).toHaveLength(2)
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
})

test('a consumer that does not go on keeps no other paused, and is asked until it goes on', async () => {
  world = await World.create({ migrations: EXPAND })
  const { url } = world.consumer.server
  await world.configure({
    consumers: {
      stock: { kind: 'http', pause: `${url}/pause`, resume: `${url}/resume`, status: `${url}/status`, within: '5s' },
      stubborn: {
        kind: 'command',
        pause: ['./bin/pause'],
        resume: ['./bin/resume'],
        status: ['./bin/stubborn'],
        within: '1s',
      },
    },
  })
  await world.script('pause', 'touch stubborn-paused')
  await world.script('resume', 'touch asked')
  await world.script(
    'stubborn',
    `[ -e stubborn-paused ] && state=paused || state=running; echo "{\\"state\\":\\"$state\\",\\"inFlight\\":0}"`,
  )
  await world.startWorker()
  await world.start()
  await expect.poll(() => existsSync(join(world.folder, 'asked')), { timeout: 60_000 }).toBe(true)
  await expect.poll(() => world.consumer.state, { timeout: 20_000 }).toBe('running')
  expect(existsSync(join(world.folder, 'stubborn-paused'))).toBe(true)
  await world.script('resume', 'rm -f stubborn-paused')
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(ending.lines.find(({ step }) => step === 'resume-consumers')?.note).toBe(
    'stubborn proven moving, stock proven moving',
  )
})

test('a consumer that a killed worker left half paused, and that says so, is paused by the next one', async () => {
  const sorter = {
    ...{ kind: 'command', pause: ['./bin/pause'], resume: ['./bin/resume'], status: ['./bin/state'], within: '30s' },
  }
  await run(
    { migrations: EXPAND, configuration: { consumers: { sorter } } },
    {
      pause: `if [ ! -e half ]; then touch half; sleep 30; fi; rm -f half; touch paused`,
      resume: 'rm -f paused',
      state: `[ -e half ] && { echo 'one of two runs' >&2; exit 1; }
[ -e paused ] && state=paused || state=running; echo "{\\"state\\":\\"$state\\",\\"inFlight\\":0}"`,
    },
  )
  await world.start()
  await expect.poll(() => existsSync(join(world.folder, 'half')), { timeout: 60_000 }).toBe(true)
  world.workers[0]?.kill('SIGKILL')
  await world.startWorker()
  const ending = await world.ending()
  expect(ending, JSON.stringify(ending)).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(ending.lines.find(({ step }) => step === 'pause-consumers')?.note).toBe('sorter proven quiet')
  expect(existsSync(join(world.folder, 'paused'))).toBe(false)
})

test('a run that is held after a failure tells people each time, from its start on, and no notice is taken for another', async () => {
  const configuration = {
    notify: [{ kind: 'command', command: ['./bin/tell'] }],
    onFailure: 'hold',
    verify: [{ name: 'never', sql: 'select 0', expect: 1 }],
  }
  await run({ migrations: EXPAND, configuration }, { tell: 'cat >> told' })
  await world.start()
  await world.until(({ state }) => state === 'held')
  await world.handle.executeUpdate('retry', { args: [{ by: 'ben' }] })
  await world.until(({ state }) => state === 'running')
  await world.until(({ state }) => state === 'held')
  await world.handle.executeUpdate('cancel', { args: [{ by: 'ben' }] })
  expect(await world.ending()).toMatchObject({ outcome: 'restored', exit: 5 })
  expect((await told()).map(({ kind }) => kind)).toEqual(['started', 'held', 'held', 'failed'])
  expect((await told())[0]?.text).toContain('deploy of 2 on database')
  expect((await told())[1]?.text).toContain('held after a failure, in stage 1')
  expect(new Set((await told()).map(({ sequence }) => sequence)).size).toBe(4)
})

test('what a person left for later, or recovered, is not told as a failure', async () => {
  const notify = [{ kind: 'command', command: ['./bin/tell'] }]
  await run({ migrations: { ...EXPAND, ...CONTRACT }, configuration: { notify } }, { tell: 'cat >> told' })
  expect((await world.typed('doctor', 'staging', '--tag', '2')).text).toMatch(/ok {2}notifier +\S+\/bin\/tell is there/)
  await world.start()
  const { digest } = await world.until(({ state }) => state === 'waiting')
  await world.handle.executeUpdate('reject', { args: [{ by: 'ben', digest }] })
  expect(await world.ending()).toMatchObject({ outcome: 'deferred', exit: 7 })
  expect((await told()).at(-1)).toMatchObject({ kind: 'deferred' })
  await world.end()

  const fails = { '0002_half.sql': `-- headgate:no-transaction\n  select 1;\n  select 1 / 0` }
  await run({ migrations: fails, configuration: { notify, quiesce: 'none' } }, { tell: 'cat >> told' })
  await world.start()
  const { run: open } = await world.ending()
  expect((await told()).at(-1)).toMatchObject({ kind: 'needs-operator' })
  const recovery = await world.start('recover', { recover: { run: open, choice: 'redeploy' } })
  expect(await world.ending(recovery)).toMatchObject({ outcome: 'needs-operator', exit: 0 })
  expect((await told()).at(-1)).toMatchObject({ kind: 'recovered' })
})
