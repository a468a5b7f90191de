import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { goOn, HELD, untilHeld } from '../support/held-migration.js'
import { type HttpServer, startHttpServer } from '../support/http-server.js'
import { WEB } from '../support/web-service.js'
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
const HELD_UP = { '0002_held.sql': `alter table orders add column note text; ${HELD}; select 1 / 0` }
const NOBODY_HOME = { smoke: [{ name: 'nobody home', http: 'http://127.0.0.1:4/health', within: '1s' }] }

const API = {
  kind: 'command',
  deploy: ['./bin/deploy', '{tag}'],
  start: ['./bin/start'],
  stop: ['./bin/stop'],
  current: ['./bin/current'],
}
/** A second service; it notes what changes it. */
const WEB_SCRIPT = `case "$1" in
  deploy) echo "$*" >> web-log; echo "$2" > web-tag; touch web-runs ;;
  start) echo "$*" >> web-log; touch web-runs ;;
  stop) echo "$*" >> web-log; rm -f web-runs ;;
  current) cat web-tag ;;
  status) [ -e web-runs ] && echo '{"state":"running"}' || echo '{"state":"stopped"}' ;;
esac`

const DEPLOY = 'echo "$1" > current; touch running'

const put = (file: string, text = ''): Promise<void> => writeFile(join(world.folder, file), text)
const isThere = (file: string): boolean => existsSync(join(world.folder, file))
const contents = async (file: string): Promise<string> => (await readFile(join(world.folder, file), 'utf8')).trim()

async function run(options: WorldOptions, prepare: () => Promise<unknown> = async () => {}): Promise<void> {
  world = await World.create(options)
  await prepare()
  await world.startWorker()
}

/** As a person does, before the run. */
const stopApi = (): Promise<void> => rm(join(world.folder, 'running'))

test('a service that a person had stopped stays stopped through a migration, and nobody is asked to smoke it', async () => {
  await run({ migrations: EXPAND, configuration: NOBODY_HOME }, stopApi)
  const ending = await world.ending(await world.start('migrate'))
  expect(ending).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBeUndefined()
  const notes = new Map(ending.lines.map(({ step, note }) => [step, note]))
  expect(notes.get('restart-services')).toBe('api stays stopped, as it was')
  expect(notes.get('smoke')).toContain('not asked')
})

test('a new image starts also a service that a person had stopped', async () => {
  await run({ migrations: EXPAND }, stopApi)
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBe('2')
})

test('a release that is rolled back leaves the previous image, stopped where a person had stopped it', async () => {
  await run({ migrations: EXPAND, configuration: NOBODY_HOME }, stopApi)
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect(await world.serving()).toBeUndefined()
  expect(await contents('current')).toBe('1')
})

test('a service that cannot tell whether it runs is started again', async () => {
  await run({ migrations: EXPAND, configuration: { services: { api: API } } })
  expect(await world.ending(await world.start('migrate'))).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect(await world.serving()).toBe('1')
})

test('a service whose status fails is not stopped: nobody would know whether to start it again', async () => {
  await run({ migrations: EXPAND }, () => world.script('status', 'echo "no daemon" >&2; exit 3'))
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'aborted', exit: 5 })
  expect(ending.reason).toContain('no daemon')
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

test('only what got the new image gets the previous one back, the rest is started', async () => {
  const options = { migrations: EXPAND, configuration: { ...NOBODY_HOME, services: { api: API, web: WEB } } }
  await run(options, async () => {
    await world.script('web', WEB_SCRIPT)
    await put('web-tag', '2')
    await put('web-runs')
    await world.script('deploy', `echo "deploy $1" >> api-log; ${DEPLOY}`)
  })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect((await contents('api-log')).split('\n')).toEqual(['deploy 2', 'deploy 1'])
  expect(await contents('web-log')).not.toContain('deploy')
  expect(await contents('web-tag')).toBe('2')
  expect(isThere('web-runs')).toBe(true)
})

test('an image that is deployed, while another one runs, is not believed', async () => {
  await run({ migrations: EXPAND }, () => world.script('deploy', 'touch running'))
  await world.start()
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'rolled-back', exit: 5 })
  expect(ending.reason).toBe('service api: 2 was deployed, and 1 runs')
})

test('a contract stage that a person takes back keeps the new image, which the stage before has brought', async () => {
  server = await startHttpServer((_, response) => {
    response.writeHead(server?.received.length === 1 ? 200 : 500)
    response.end()
  })
  const smoke = [{ name: 'health', http: `${server.url}/health`, within: '1s' }]
  await run({ migrations: { ...EXPAND, ...CONTRACT }, configuration: { approval: 'none', smoke } })
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'needs-operator', exit: 6 })
  const recovery = await world.start('recover', { recover: { choice: 'restore' } })
  expect(await world.ending(recovery)).toMatchObject({ outcome: 'deferred', exit: 0 })
  expect(await world.serving()).toBe('2')
  expect(world.consumer.state).toBe('running')
})

test('a restore that a person brings to its end leaves the image of then on the restored database', async () => {
  await run({ migrations: EXPAND })
  await world.ending(await world.start('backup', {}))
  await world.ending(await world.start())
  expect(await world.serving()).toBe('2')
  await world.script('deploy', 'touch deploying; exec sleep 60')
  const [taken] = await world.journal<{ name: string }>(`select name from {s}.backups where name like '%-s1%'`)
  await world.start('restore', { backup: taken?.name })
  await expect.poll(() => isThere('deploying'), { timeout: 60_000 }).toBe(true)
  await world.handle.terminate('the test says so')
  await world.script('deploy', DEPLOY)
  const recovery = await world.start('recover', { recover: { choice: 'restore' } })
  expect(await world.ending(recovery)).toMatchObject({ exit: 0 })
  expect(await world.serving()).toBe('1')
  expect(await world.rows('select version from headgate_migrations')).toEqual([{ version: '0001_orders' }])
})

test('a consumer that is taken out of headgate.yaml while it is paused is for a person; the others go on', async () => {
  world = await World.create({ migrations: HELD_UP })
  const { url } = world.consumer.server
  const stock = { kind: 'http', pause: `${url}/pause`, resume: `${url}/resume`, status: `${url}/status` }
  const other = { kind: 'command', pause: ['./bin/pause'], resume: ['./bin/resume'], status: ['./bin/other'] }
  await world.configure({ consumers: { stock, other } })
  await world.script('pause', 'touch paused')
  await world.script('resume', 'rm -f paused')
  await world.script(
    'other',
    `[ -e paused ] && state=paused || state=running; echo "{\\"state\\":\\"$state\\",\\"inFlight\\":0}"`,
  )
  await world.startWorker()
  await world.start()
  await untilHeld(world.database.name)
  await world.configure({ consumers: { other } })
  await goOn(world.database.name)
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'needs-operator', exit: 6 })
  expect(ending.reason).toContain('consumer stock is still paused')
  expect(world.consumer.state).toBe('paused')
  expect(isThere('paused')).toBe(false)
  expect(await world.serving()).toBe('1')
  await world.configure({ consumers: { stock, other } })
  const recovery = await world.start('recover', { recover: { choice: 'accept' } })
  expect(await world.ending(recovery)).toMatchObject({ exit: 0 })
  expect(world.consumer.state).toBe('running')
})

test('a service that is taken out of headgate.yaml while it is stopped is for a person', async () => {
  await run({ migrations: HELD_UP })
  await world.start()
  await untilHeld(world.database.name)
  await world.configure({ services: {} })
  await goOn(world.database.name)
  const ending = await world.ending()
  expect(ending).toMatchObject({ outcome: 'needs-operator', exit: 6, consumers: 'still paused' })
  expect(ending.reason).toContain('service api is not as it was')
  await world.configure({})
  const recovery = await world.start('recover', { recover: { choice: 'accept' } })
  expect(await world.ending(recovery)).toMatchObject({ exit: 0 })
  expect(await world.serving()).toBe('1')
  expect(world.consumer.state).toBe('running')
})

/** Two consumers that write down what they are told; each takes a moment to become quiet. */
const TWO = Object.fromEntries(
  ['first', 'second'].map((name) => [
    name,
    {
      ...{ kind: 'command', pause: ['./bin/consumer', name, 'pause'], resume: ['./bin/consumer', name, 'resume'] },
      ...{ status: ['./bin/consumer', name, 'status'], within: '20s' },
    },
  ]),
)
const consumerScript = (isQuiet: string): string => `case "$2" in
  status)
    state=running inFlight=0
    if [ -e "$1-paused" ]; then
      state=paused
      if ${isQuiet}; then grep -q "$1 quiet" told || echo "$1 quiet" >> told; else inFlight=1; fi
    fi
    echo "{\\"state\\":\\"$state\\",\\"inFlight\\":$inFlight}" ;;
  pause) echo "$1 pause" >> told; touch "$1-paused" ;;
  resume) echo "$1 resume" >> told; rm -f "$1-paused" ;;
esac`
const told = async (): Promise<string[]> => (await contents('told')).split('\n')

test('consumers without an order are paused at once', async () => {
  // Neither becomes quiet before both are asked.
  const script = consumerScript('[ -e first-paused ] && [ -e second-paused ]')
  await run({ migrations: EXPAND, configuration: { consumers: TWO } }, () => world.script('consumer', script))
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect((await told()).filter((line) => line.endsWith('resume'))).toEqual(['second resume', 'first resume'])
})

test('consumers with an order are paused one after the other, each once the one before is quiet', async () => {
  const configuration = { consumers: TWO, pause: ['second', 'first'] }
  await run({ migrations: EXPAND, configuration }, () => world.script('consumer', consumerScript('true')))
  await world.start()
  expect(await world.ending()).toMatchObject({ outcome: 'succeeded', exit: 0 })
  expect((await told()).filter((line) => !line.endsWith('resume'))).toEqual([
    ...['second pause', 'second quiet', 'first pause', 'first quiet'],
  ])
})
